"""The head of an HTTP/1 message: enough of RFC 9112 for a forward proxy, and strict where smugglers are not."""

import asyncio
import re
from dataclasses import dataclass

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "upgrade",
    }
)
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")


class BadHead(ValueError):
    """Not an HTTP/1 head, or too long."""


class HeadTooLong(BadHead):
    """Longer than the reader's limit."""


class HeadCut(BadHead):
    """The connection ended inside it."""


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and fields.

    Attributes:
        fields: Name and value in their order; names as they were written.
    """

    start: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return every value of a field; *name* in lower case."""
        return [value for key, value in self.fields if key.lower() == name]

    def for_next_hop(self, start: str, **replaced: str) -> bytes:
        """Return the bytes to send on: without what belongs to one hop, and with `Connection: close`.

        Args:
            start: The new start line.
            replaced: Fields that take the place of those with the same name.
        """
        named = {key.lower() for value in self.values("connection") for key in value.split(",")}
        dropped = _HOP_BY_HOP | {name.strip() for name in named} | {name.lower() for name in replaced}
        kept = [(key, value) for key, value in self.fields if key.lower() not in dropped]
        fields = [*replaced.items(), *kept, ("Connection", "close")]
        return encode_head(start, fields)


async def read_head(reader: asyncio.StreamReader, begins: bytes = b"") -> Head | None:
    """Read one head; None at the end of the stream. The reader's own limit bounds its size.

    Args:
        begins: What it has to begin with: anything else is told without waiting for the end of the head.

    Raises:
        BadHead: Not a head, or longer than the limit (`HeadTooLong`), or cut (`HeadCut`).
    """
    try:
        first = await reader.readexactly(len(begins))
        if first != begins:
            raise BadHead(f"the head does not begin with {begins.decode()}")
        raw = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial.startswith(begins[: len(error.partial)]) and error.expected == len(begins):
            raise BadHead(f"the head does not begin with {begins.decode()}") from None
        if error.partial.strip() or (begins and error.expected is None):
            raise HeadCut("the connection ended inside a head") from None
        return None
    except asyncio.LimitOverrunError:
        raise HeadTooLong("the head is too long") from None
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    return Head(start, tuple(_field(line) for line in lines))


def encode_head(start: str, fields: list[tuple[str, str]]) -> bytes:
    """Return the bytes of a head."""
    return "\r\n".join([start, *(f"{key}: {value}" for key, value in fields), "", ""]).encode("latin-1")


def _field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadHead("a header line is malformed")
    return match[1], match[2]
