"""Reads the title and the declared encoding of a page without a browser."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_TITLE_CHARS: Final = 500
MAX_SEARCHED_CHARS: Final = 2_000_000

_NAME: Final = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
_END_OR_QUOTE: Final = re.compile(r">|=\s*([\"'])")
_ATTRIBUTE: Final = re.compile(r"([^\s=/>\"']+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_CHARSET: Final = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;,\"']+))", re.IGNORECASE)
_XML_DECLARATION: Final = re.compile(r"<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]+)[\"']")
_PRESCAN_CHARS: Final = 1_024
_TEXT_ONLY: Final = frozenset(
    {"title", "script", "style", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext"}
)
"""HTML elements in which tags are text."""
_OTHER_TITLES: Final = frozenset({"svg", "math", "template"})
"""Elements whose titles are not that of the page."""
_HEAD: Final = frozenset(
    {"html", "head", "meta", "title", "script", "style", "link", "base", "object", "noscript", "template"}
)
"""Elements after which browsers still search for a declaration beyond the first kilobyte."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, with the text up to its end tag if tags in it are text.

    Attributes:
        end: Whether it is an end tag.
        start: Its position.
    """

    name: str
    end: bool
    attributes: str
    start: int
    text: str = ""


def page_title(page: str, *, is_xml: bool = False) -> str | None:
    """Return the title that a browser shows: of an XML document, only that of XHTML and SVG."""
    page = page[:MAX_SEARCHED_CHARS]
    depth = 0
    root: str | None = None
    for tag in _tags(page, is_xml=is_xml):
        root = root or tag.name
        if is_xml and root not in ("html", "svg"):
            return None
        if tag.name in _OTHER_TITLES and not (is_xml and tag.name == root):
            closed = tag.attributes.endswith("/")
            depth += 0 if closed else -1 if tag.end else 1
        elif tag.name == "title" and not tag.end and depth <= 0:
            text = tag.text if not is_xml else re.sub(r"<!\[CDATA\[(.*?)\]\]>", r"\1", tag.text, flags=re.DOTALL)
            return " ".join(html.unescape(text).split())[:MAX_TITLE_CHARS]
    return None


def declared_charset(page: str) -> str | None:
    """Return the encoding that an XML declaration or a `<meta>` at the beginning of a page names."""
    declaration = _XML_DECLARATION.match(page)
    if declaration is not None:
        return declaration[1]
    for tag in _tags(page, is_xml=False):
        if tag.start > _PRESCAN_CHARS and tag.name not in _HEAD:
            return None
        if tag.name == "meta" and not tag.end and (charset := _charset_of_meta(tag.attributes)):
            return charset
    return None


def charset_in(content_type: str) -> str | None:
    """Return the encoding that a Content-Type names."""
    found = _CHARSET.search(content_type)
    return next((label.strip() for label in found.groups() if label), None) if found else None


def _charset_of_meta(attributes: str) -> str | None:
    values: dict[str, str] = {}
    for name, *quoted in _ATTRIBUTE.findall(attributes):
        values.setdefault(name.lower(), "".join(quoted))
    if "charset" in values:
        return values["charset"].strip()
    is_pragma = values.get("http-equiv", "").strip().lower() == "content-type"
    return charset_in(html.unescape(values.get("content", ""))) if is_pragma else None


def _tags(page: str, *, is_xml: bool) -> Iterator[Tag]:
    """Return the tags outside comments; in XML, only `title` is read as text."""
    lower, at = page.lower(), 0
    while (start := page.find("<", at)) >= 0:
        for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>")) if is_xml else (("<!--", "-->"),):
            if page.startswith(opening, start):
                after = page.find(closing, start + 2)
                at = len(page) if after < 0 else after + len(closing)
                break
        else:
            found = _NAME.match(page, start)
            if found is None:
                at = start + 1
                continue
            end = _end_of_tag(page, found.end())
            if end is None:
                return
            attributes, at = page[found.end() : end], end + 1
            name, text = found[2].lower().rpartition(":")[2], ""
            is_text = name == "title" if is_xml else name in _TEXT_ONLY
            if is_text and not found[1] and not attributes.endswith("/"):
                closed = lower.find(f"</{found[2].lower()}", at)
                text = page[at:] if closed < 0 else page[at:closed]
                at += len(text)
            yield Tag(name, bool(found[1]), attributes, start, text)


def _end_of_tag(page: str, at: int) -> int | None:
    """Return the position of the `>` that ends a tag, which is not in a quoted value."""
    while (found := _END_OR_QUOTE.search(page, at)) is not None:
        if found[1] is None:
            return found.start()
        closing = page.find(found[1], found.end())
        if closing < 0:
            return None
        at = closing + 1
    return None
