"""The head of an HTTP/1 message, parsed strictly to prevent smuggling: the part of RFC 9112 that a proxy needs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_NOT_FORWARDED: Final = frozenset(
    {
        "host",  # of a request; its new value is the first field
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
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Fields that the options of `Connection` do not remove: the next hop could not find the end of the body."""
_SHORT_CHARS: Final = 4_096
_FIELDS: Final = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*")


class BadHead(ValueError):
    """The head is invalid or too long."""


class HeadTooLong(BadHead):
    """The head is longer than the limit of the reader."""


class HeadCut(BadHead):
    """The connection ended within the head."""


class Fields:
    """The header fields of a head, from `parse_fields`.

    Attributes:
        lines: Each field's name in lower case, and its line without the line end.
        options: The options of `Connection` and `Proxy-Connection`, in lower case.
        end_to_end: The lines for the next hop, each with its line end: without `Host` and hop-by-hop fields.
    """

    __slots__ = ("_by_name", "end_to_end", "lines", "options")

    def __init__(self, text: str) -> None:
        self._by_name: dict[str, list[str]] = {}
        self.lines: list[tuple[str, str]] = []
        for line in text.split("\r\n")[:-1]:
            name, _, value = line.partition(":")
            key = name.lower()
            self._by_name.setdefault(key, []).append(value.strip(" \t"))
            self.lines.append((key, line))
        named = self._options("connection")
        self.options = named | self._options("proxy-connection")
        dropped = (_NOT_FORWARDED | named) - _FRAMING if named else _NOT_FORWARDED
        kept = [line for key, line in self.lines if key not in dropped]
        self.end_to_end = "\r\n".join([*kept, ""])

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a field; `name` is in lower case."""
        return self._by_name.get(name, ())

    def _options(self, name: str) -> frozenset[str]:
        values = self._by_name.get(name)
        return frozenset([option.strip().lower() for option in ",".join(values).split(",")]) if values else frozenset()


def parse_fields(text: str) -> Fields:
    """Parse header lines, each with its line end.

    Raises:
        BadHead: A line is malformed.
    """
    return _parse_short(text) if len(text) <= _SHORT_CHARS else _parse(text)


def _parse(text: str) -> Fields:
    if _FIELDS.fullmatch(text) is None:  # one match of all lines takes half the time of one for each
        raise BadHead("a header line is malformed")
    return Fields(text)


_parse_short: Final = lru_cache(maxsize=64)(_parse)
"""A browser sends the same lines for most files of a page."""


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and header fields."""

    start: str
    fields: Fields

    def values(self, name: str) -> Sequence[str]:
        """Return all values of a field; `name` is in lower case."""
        return self.fields.values(name)

    def has_option(self, option: str) -> bool:
        """Whether `Connection` or `Proxy-Connection` has this option."""
        return option in self.fields.options

    def for_next_hop(self, start: str, *, connection: str, host: str | None = None) -> bytes:
        """Return the bytes for the next hop, without hop-by-hop fields.

        Args:
            start: The new start line.
            connection: The new value of `Connection`.
            host: The new value of `Host`, of a request.
        """
        host_line = "" if host is None else f"Host: {host}\r\n"
        return f"{start}\r\n{host_line}{self.fields.end_to_end}Connection: {connection}\r\n\r\n".encode("latin-1")

    def unchanged(self) -> bytes:
        """Return the bytes of the head with all fields."""
        return "\r\n".join([self.start, *(line for _, line in self.fields.lines), "", ""]).encode("latin-1")


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
        self._received = bytearray()  # a head may arrive byte by byte

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an incomplete head has been received."""
        return not self._received

    def feed(self, data: bytes) -> Head | None:
        """Add bytes; return the head once it is complete.

        Raises:
            BadHead: The head is invalid, or longer than the limit (`HeadTooLong`).
        """
        searched = max(0, len(self._received) - 3)
        raw: bytes | bytearray = data
        if self._received:
            self._received += data
            raw = self._received
        if not self._begins.startswith(raw[: len(self._begins)]):
            raise BadHead(f"the head does not begin with {self._begins.decode()}")
        end = raw.find(b"\r\n\r\n", searched)
        if end + 4 > self._limit_bytes or (end < 0 and len(raw) > self._limit_bytes):
            raise HeadTooLong("the head is too long")
        if end < 0 and raw.find(b"\n\n", searched) >= 0:
            raise BadHead("its lines end with LF instead of CR LF")
        if end < 0:
            self._received = bytearray(raw) if raw is data else self._received
            return None
        self.rest = bytes(raw[end + 4 :])
        start, _, fields = raw[: end + 2].decode("latin-1").partition("\r\n")
        return Head(start, parse_fields(fields))


def plain_length(text: str) -> int | None:
    """Return the value of a Content-Length that all parsers read in the same way; None for other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def encode_head(start: str, fields: list[tuple[str, str]]) -> bytes:
    """Encode a head."""
    return "\r\n".join([start, *(f"{key}: {value}" for key, value in fields), "", ""]).encode("latin-1")
