"""The character encoding of a page fetched over plain HTTP, determined as browsers do."""

import codecs
import re
from email.message import Message
from typing import Final

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
_ALIASES: Final = {"x-sjis": "cp932", "x-euc-jp": "euc_jp", "x-gbk": "gb18030", "ks_c_5601-1989": "cp949"}
_UNSAFE: Final = frozenset({"utf-7", "utf-32", "utf-32-le", "utf-32-be", "idna", "punycode", "unicode_escape"})
_META: Final = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_PRESCAN_BYTES: Final = 1_024


def page_charset(content: bytes, content_type: str) -> str:
    """Return Python's name of the encoding: byte order mark, Content-Type, `<meta>`, else UTF-8 or Windows-1252."""
    of_file = _file_charset(content)
    if content.startswith(tuple(bom for bom, _ in _BOMS)):
        return of_file
    header = Message()
    header["Content-Type"] = content_type
    named = header.get_param("charset")
    return _known(named if isinstance(named, str) else "") or of_file


def as_file(content: bytes, content_type: str) -> bytes:
    """Return the page so that it is decoded from a file as it was with its Content-Type header.

    The bytes are unchanged if they decode the same way without the header; otherwise they are converted to UTF-8
    with a byte order mark.
    """
    charset = page_charset(content, content_type)
    if charset == _file_charset(content) and (_META.search(content[:_PRESCAN_BYTES]) or content.isascii()):
        return content
    if content.startswith(codecs.BOM_UTF8):
        return content
    return codecs.BOM_UTF8 + decoded(content, charset).encode()


def decoded(content: bytes, charset: str) -> str:
    """Return the text without its byte order mark, with U+FFFD for invalid bytes."""
    return content.decode(charset, "replace").removeprefix("\ufeff")


def _file_charset(content: bytes) -> str:
    for bom, charset in _BOMS:
        if content.startswith(bom):
            return charset
    meta = _META.search(content[:_PRESCAN_BYTES])
    named = _known(meta[1].decode("ascii")) if meta else None
    if named:
        return "utf-8" if named.startswith("utf-16") else named  # a <meta> that is readable as ASCII is not UTF-16
    try:
        content.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _known(label: str) -> str | None:
    """Return Python's name of the encoding that a page names, or None if pages may not use it."""
    label = label.strip().lower()
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
        "".encode(name)  # raises LookupError for codecs that do not encode text, such as base64
    except (LookupError, ValueError):
        return None
    return None if name in _UNSAFE else _AS_IN_BROWSERS.get(name, name)
