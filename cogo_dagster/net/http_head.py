"""The head of an HTTP/1 message, parsed strictly to prevent smuggling: the part of RFC 9112 that a proxy needs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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
_FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*")


class BadHead(ValueError):
    """The head is invalid or too long."""


class HeadTooLong(BadHead):
    """The head is longer than the limit of the reader."""


class HeadCut(BadHead):
    """The connection ended within the head."""


@dataclass(frozen=True)
class Head:
    """Start line and header fields.

    Attributes:
        fields: Names and values in order; names in their original case.
    """

    start: str
    fields: tuple[tuple[str, str], ...]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, value in self.fields:
            found.setdefault(key.lower(), []).append(value)
        return found

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a field; `name` is in lower case."""
        return self._by_name.get(name, ())

    def has_option(self, option: str) -> bool:
        """Whether `Connection` or `Proxy-Connection` has this option."""
        values = [*self.values("connection"), *self.values("proxy-connection")]
        return any(option == token.strip().lower() for value in values for token in value.split(","))

    def for_next_hop(self, start: str, *, connection: str, **replaced: str) -> bytes:
        """Return the bytes for the next hop, without hop-by-hop fields.

        Args:
            start: The new start line.
            connection: The new value of `Connection`.
            replaced: Fields that replace those with the same name.
        """
        named = {key.lower() for value in self.values("connection") for key in value.split(",")}
        dropped = _HOP_BY_HOP | {name.strip() for name in named} | {name.lower() for name in replaced}
        kept = [(key, value) for key, value in self.fields if key.lower() not in dropped]
        fields = [*replaced.items(), *kept, ("Connection", connection)]
        return encode_head(start, fields)


class HeadReader:
    """Collects the bytes of one head.

    Args:
        limit_bytes: Maximum size of the head.
        begins: Required prefix; a head with another one is rejected before its end.

    Attributes:
        rest: Bytes after the head.
    """

    def __init__(self, limit_bytes: int, begins: bytes = b"") -> None:
        self.rest = b""
        self._limit_bytes = limit_bytes
        self._begins = begins
        self._raw = bytearray()  # a head may arrive byte by byte

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been received."""
        return not self._raw

    def feed(self, data: bytes) -> Head | None:
        """Add bytes; return the head once it is complete.

        Raises:
            BadHead: The head is invalid, or longer than the limit (`HeadTooLong`).
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
        start, _, fields = self._raw[: end + 2].decode("latin-1").partition("\r\n")
        return Head(start, _fields(fields))


def plain_length(text: str) -> int | None:
    """Return the value of a Content-Length that all parsers read in the same way; None for other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def encode_head(start: str, fields: list[tuple[str, str]]) -> bytes:
    """Encode a head."""
    return "\r\n".join([start, *(f"{key}: {value}" for key, value in fields), "", ""]).encode("latin-1")


def _fields(text: str) -> tuple[tuple[str, str], ...]:
    """Parse header lines, each with its line end: one match of all takes half the time of one for each."""
    if _FIELDS.fullmatch(text) is None:
        raise BadHead("a header line is malformed")
    parted = (line.partition(":") for line in text.split("\r\n")[:-1])
    return tuple((name, value.strip(" \t")) for name, _, value in parted)
