"""The head of an HTTP/1 message: enough of RFC 9112 for a forward proxy, and strict where smugglers are not."""

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

    def names_option(self, option: str) -> bool:
        """Whether `Connection` or `Proxy-Connection` has this option."""
        values = self.values("connection") + self.values("proxy-connection")
        return any(option == one.strip().lower() for value in values for one in value.split(","))

    def for_next_hop(self, start: str, *, connection: str, **replaced: str) -> bytes:
        """Return the bytes to send on, without what belongs to one hop.

        Args:
            start: The new start line.
            connection: The new value of `Connection`.
            replaced: Fields that take the place of those with the same name.
        """
        named = {key.lower() for value in self.values("connection") for key in value.split(",")}
        dropped = _HOP_BY_HOP | {name.strip() for name in named} | {name.lower() for name in replaced}
        kept = [(key, value) for key, value in self.fields if key.lower() not in dropped]
        fields = [*replaced.items(), *kept, ("Connection", connection)]
        return encode_head(start, fields)


class HeadReader:
    """Collects the bytes of one head.

    Args:
        limit_bytes: Longest head.
        begins: What it has to begin with: anything else is rejected before the end of the head.

    Attributes:
        rest: What followed the head.
    """

    def __init__(self, limit_bytes: int, begins: bytes = b"") -> None:
        self.rest = b""
        self._limit_bytes = limit_bytes
        self._begins = begins
        self._raw = bytearray()  # a head may arrive byte by byte

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived."""
        return not self._raw

    def feed(self, data: bytes) -> Head | None:
        """Add bytes; return the head once it is whole.

        Raises:
            BadHead: Not a head, or longer than the limit (`HeadTooLong`).
        """
        searched = max(0, len(self._raw) - 3)
        self._raw += data
        begun = self._raw[: len(self._begins)]
        if not self._begins.startswith(begun):
            raise BadHead(f"the head does not begin with {self._begins.decode()}")
        end = self._raw.find(b"\r\n\r\n", searched)
        if end + 4 > self._limit_bytes or (end < 0 and len(self._raw) > self._limit_bytes):
            raise HeadTooLong("the head is too long")
        if end < 0:
            return None
        self.rest = bytes(self._raw[end + 4 :])
        start, *lines = self._raw[:end].decode("latin-1").split("\r\n")
        return Head(start, tuple(_field(line) for line in lines))


def plain_length(text: str) -> int | None:
    """Return the value of a Content-Length that all parsers read alike; None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def encode_head(start: str, fields: list[tuple[str, str]]) -> bytes:
    """Return the bytes of a head."""
    return "\r\n".join([start, *(f"{key}: {value}" for key, value in fields), "", ""]).encode("latin-1")


def _field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadHead("a header line is malformed")
    return match[1], match[2]
