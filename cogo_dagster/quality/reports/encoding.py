"""Decodes reports: byte order marks, XML declarations, gzip, and invalid bytes."""

import codecs
import re
import zlib
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GZIP: Final = b"\x1f\x8b"
_DECLARED: Final = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_DECLARATION: Final = re.compile(r"\s*<\?xml\s[^>]{0,300}?\?>")
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE: Final = re.compile(r"&#(?:x([0-9A-Fa-f]{1,16})|([0-9]{1,16}));")
# A byte that is invalid in UTF-8 is decoded as Latin-1, so that different names remain different.
_STRAY: Final = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


class TooLarge(Exception):
    """The decompressed content is too large."""


def decompress(content: bytes, max_bytes: int) -> bytes:
    """Return the decompressed bytes, or the bytes unchanged if they are not gzip.

    Raises:
        TooLarge: The decompressed content is larger than `max_bytes`.
        zlib.error: The archive is damaged or truncated.
    """
    if not content.startswith(_GZIP):
        return content
    found, rest = bytearray(), content
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(rest, max_bytes + 1 - len(found))
        if len(found) > max_bytes:
            raise TooLarge
        if not member.eof:
            raise zlib.error("the archive is truncated")
        rest = member.unused_data
    return bytes(found)


def decoded(content: bytes) -> str:
    """Return the text; invalid bytes do not raise an error."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode(content[len(mark) :], encoding)
    return _decode(content, _guess(content))


def cleaned_xml(text: str) -> str:
    """Return XML without its declaration and without forbidden characters, literal or as references."""
    body = _DECLARATION.sub("", text, count=1) if _DECLARATION.match(text) else text
    return _FORBIDDEN.sub("", _REFERENCE.sub(_reference, body)).strip()


def _guess(content: bytes) -> str:
    start = content[:4]
    # A report begins with an ASCII character, whose zero bytes reveal the encoding without a byte order mark.
    for encoding, pattern in (
        ("utf-32-le", rb"[^\0]\0\0\0"),
        ("utf-32-be", rb"\0\0\0[^\0]"),
        ("utf-16-le", rb"[^\0]\0[^\0]\0"),
        ("utf-16-be", rb"\0[^\0]\0[^\0]"),
    ):
        if re.match(pattern, start, re.DOTALL):
            return encoding
    declared = _DECLARED.match(content)
    return declared[1].decode("ascii") if declared else "utf-8"


def _decode(content: bytes, encoding: str) -> str:
    try:
        # Text without zero bytes is not UTF-16 or UTF-32, even if it declares that: it was converted.
        wide = re.match(r"(utf|ucs)[-_]?(16|32|2|4)", encoding, re.IGNORECASE) and b"\0" not in content
        if not wide and encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
            return content.decode(encoding, "replace")
    except (LookupError, UnicodeError):
        pass
    return content.decode("utf-8", "surrogateescape").translate(_STRAY)


def _reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    allowed = code <= 0x10FFFF and not _FORBIDDEN.match(chr(code))
    return match[0] if allowed else ""
