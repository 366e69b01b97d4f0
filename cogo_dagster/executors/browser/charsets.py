"""The character encoding of a page fetched over plain HTTP, determined as browsers do."""

import codecs
import re
from typing import Final

from cogo_dagster.executors.browser.markup import charset_in, declared_charset

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_AS_IN_BROWSERS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "euc_kr": "cp949",
    "johab": "cp949",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "utf-16": "utf-16-le",
}
"""Encodings whose labels mean a superset on the web (https://encoding.spec.whatwg.org)."""
_ALIASES: Final = {
    "x-sjis": "cp932",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "x-x-big5": "big5hkscs",
    "ks_c_5601-1989": "cp949",
    "windows-949": "cp949",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "logical": "iso8859-8",
    "visual": "iso8859-8",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "koi8-ru": "koi8-u",
    "unicode": "utf-16-le",
    "ucs-2": "utf-16-le",
    "unicode-1-1-utf-8": "utf-8",
}
_UNSAFE: Final = frozenset({"utf-7", "utf-32", "utf-32-le", "utf-32-be", "idna", "punycode", "unicode_escape"})
_REPLACEMENT: Final = frozenset({"hz-gb-2312", "iso-2022-kr", "csiso2022kr", "iso-2022-cn", "iso-2022-cn-ext"})
"""Labels of encodings that browsers do not decode: the page is one U+FFFD."""
_OWN: Final = "x-user-defined"
_UNDEFINED: Final = "as-in-browsers"
_DECLARED_BYTES: Final = 100_000
_MAX_UNDECLARED_BYTES: Final = 1_000_000
_HANGUL: Final = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
_HIGH: Final = re.compile(rb"[\x80-\xff]")


def page_charset(content: bytes, content_type: str) -> str:
    """Return Python's name of the encoding, or `x-user-defined` or `replacement`.

    It is that of the byte order mark, of Content-Type, or of the document, else UTF-8, EUC-KR or Windows-1252.
    """
    of_file = _file_charset(content)
    if content.startswith(tuple(bom for bom, _ in _BOMS)):
        return of_file
    return _known(charset_in(content_type) or "") or of_file


def as_file(content: bytes, content_type: str) -> bytes:
    """Return the page so that it is decoded from a file as it was with its Content-Type header.

    The bytes are unchanged if they decode the same way without the header; otherwise they are converted to UTF-8
    with a byte order mark.
    """
    charset = page_charset(content, content_type)
    if charset == _file_charset(content) and (_declared(content) or content.isascii()):
        return content
    if content.startswith(codecs.BOM_UTF8):
        return content
    return codecs.BOM_UTF8 + decoded(content, charset).encode("utf-8", "replace")


def decoded(content: bytes, charset: str) -> str:
    """Return the text without its byte order mark, with U+FFFD for invalid bytes."""
    if charset == "replacement":
        return "\ufffd" if content else ""
    if charset == _OWN:
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in content)
    return content.decode(charset, _UNDEFINED).removeprefix("\ufeff")


def _undefined(error: UnicodeError) -> tuple[str, int]:
    """Decode undefined bytes of Windows code pages as browsers do: 0x80 to 0x9F are control characters."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    single = error.encoding == "charmap" and error.end - error.start == 1
    return chr(byte) if single and 0x80 <= byte < 0xA0 else "\ufffd", error.end


codecs.register_error(_UNDEFINED, _undefined)


def _file_charset(content: bytes) -> str:
    for bom, charset in _BOMS:
        if content.startswith(bom):
            return charset
    if named := _declared(content):
        return named
    beginning = content[:_MAX_UNDECLARED_BYTES]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning, final=len(beginning) == len(content))
    except UnicodeDecodeError:
        return "cp949" if _is_korean(beginning) else "cp1252"
    return "utf-8"


def _declared(content: bytes) -> str | None:
    """Return the encoding that the document names; one that is readable as ASCII is not UTF-16."""
    named = _known(declared_charset(content[:_DECLARED_BYTES].decode("latin-1")) or "")
    if named is not None and named.startswith("utf-16"):
        return "utf-8"
    return "cp1252" if named == _OWN else named


def _is_korean(content: bytes) -> bool:
    """Whether most bytes that are not ASCII are Hangul in EUC-KR, which pages often do not declare."""
    return len(_HANGUL.findall(content)) * 2 > 0.8 * len(_HIGH.findall(content))


def _known(label: str) -> str | None:
    """Return Python's name of the encoding that a page names, or None if pages may not use it."""
    label = label.strip().lower()
    if label in _REPLACEMENT:
        return "replacement"
    if label == _OWN:
        return label
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
        "".encode(name)  # raises LookupError for codecs that do not encode text, such as base64
    except (LookupError, ValueError):
        return None
    return None if name in _UNSAFE else _AS_IN_BROWSERS.get(name, name)
