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


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None at the end of the stream. The reader's own limit bounds its size.

    Raises:
        BadHead: Not a head, or longer than the limit.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadHead("the connection ended inside a head") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadHead("the head is too long") from None
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
