"""Determines where the body of an HTTP/1 response ends (RFC 9112, section 6.3); its bytes are forwarded unchanged."""

import re
from typing import Final, Protocol

from cogo_dagster.net.http_head import Head, plain_length

MAX_LINE_BYTES: Final = 16 * 1024
"""Maximum length of a line between chunks: a size with extensions, or a trailer field."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class Body(Protocol):
    """Counts the bytes of a body.

    Attributes:
        ended: Whether the body is complete.
    """

    ended: bool

    @property
    def lasts(self) -> bool:
        """Whether the body ends with the connection."""
        ...

    def take(self, data: bytes) -> int:
        """Return how many of the next bytes belong to the body."""
        ...


class SizedBody:
    """A body of a known length."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self.ended = size_bytes == 0

    @property
    def lasts(self) -> bool:
        """Return False: the length is known."""
        return False

    def take(self, data: bytes) -> int:
        """Return how many of the next bytes belong to the body."""
        taken = min(len(data), self._left_bytes)
        self._left_bytes -= taken
        self.ended = self._left_bytes == 0
        return taken


class ChunkedBody:
    """A chunked body. With malformed chunks it lasts until the connection ends, and the client handles them."""

    def __init__(self) -> None:
        self.ended = False
        self._left_bytes = 0
        self._line = b""
        self._in_trailer = False
        self._malformed = False

    def take(self, data: bytes) -> int:
        """Return how many of the next bytes belong to the body."""
        at = 0
        while at < len(data) and not self.ended and not self._malformed:
            if self._left_bytes:
                taken = min(self._left_bytes, len(data) - at)
                self._left_bytes -= taken
                at += taken
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            at = end or len(data)
            if end:
                self._end_line()
            elif len(self._line) > MAX_LINE_BYTES:
                self._malformed = True
        return len(data) if self._malformed else at

    @property
    def lasts(self) -> bool:
        """Whether the end is unknown because of malformed chunks."""
        return self._malformed

    def _end_line(self) -> None:
        line, self._line = self._line, b""
        if self._in_trailer:
            self.ended = line == b"\r\n"
            return
        size = _SIZE.fullmatch(line)
        if size is None:
            self._malformed = True
        elif (size_bytes := int(size[1], 16)) == 0:
            self._in_trailer = True
        else:
            self._left_bytes = size_bytes + 2  # including the line end of the chunk


class EndlessBody:
    """A body that lasts until the connection ends."""

    ended = False
    lasts = True

    def take(self, data: bytes) -> int:
        """Return the number of bytes."""
        return len(data)


def response_body(head: Head, method: str, status: str) -> Body:
    """Return the body of a final response."""
    if method == "HEAD" or status in ("204", "304"):
        return SizedBody(0)
    codings = [coding.strip().lower() for value in head.values("transfer-encoding") for coding in value.split(",")]
    if codings:
        return ChunkedBody() if codings[-1] == "chunked" and not head.values("content-length") else EndlessBody()
    lengths = set(head.values("content-length"))
    size_bytes = plain_length(lengths.pop()) if len(lengths) == 1 else None
    return EndlessBody() if size_bytes is None else SizedBody(size_bytes)
