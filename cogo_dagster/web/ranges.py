"""The part of a file that a client requests (RFC 9110, section 14). Pure functions."""

import re
from dataclasses import dataclass
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The requested part is outside the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a file; `end` is the position after its last byte."""

    start: int
    end: int

    def header(self, size_bytes: int) -> str:
        """Return the header Content-Range."""
        return f"bytes {self.start}-{self.end - 1}/{size_bytes}"


def requested_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the part of a file that the header Range requests; None for all of it.

    Several parts and other units are answered with the whole file, which a server may always do.

    Raises:
        Unsatisfiable: The part is outside the file.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    first, last = found.groups() if found else ("", "")
    if not first and not last:
        return None
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size_bytes - int(last), 0)
    end = min(int(last) + 1, size_bytes) if first and last else size_bytes
    if start >= end:
        raise Unsatisfiable
    return ByteRange(start, end)
