"""Figma's names for things: file keys, node ids, and the links that people copy from the address bar."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

_MOST_STEM: Final = 180
_LINK: Final = re.compile(r"^https?://", re.IGNORECASE)
# FigJam, slides and the rest are files too; community pages, teams and projects are none.
_PATH: Final = re.compile(
    r"^/(?:file|design|proto|board|slides|deck|buzz|site)/([A-Za-z0-9_-]{1,128})(?:/branch/([A-Za-z0-9_-]{1,128}))?(?:/|$)"
)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NODE: Final = re.compile(r"I?-?[0-9]{1,12}:-?[0-9]{1,12}(;-?[0-9]{1,12}:-?[0-9]{1,12}){0,20}")


def split_link(text: str) -> tuple[str, str | None]:
    """Return the file key (a branch's own) and the node id that a link to Figma holds; a bare key comes back as it is.

    Raises:
        ValueError: It is neither a link to a file nor a key.
    """
    text = text.strip()
    if not _LINK.match(text):
        if not _KEY.fullmatch(text):
            raise ValueError("must be a file's key, such as the letters after /design/ in its address, or its address")
        return text, None
    parts = urlsplit(text)
    path = _PATH.match(parts.path)
    if (parts.hostname or "").removeprefix("www.") != "figma.com" or path is None:
        raise ValueError("is an address, but not of a file at https://www.figma.com/design/…; copy the file's own")
    node = parse_qs(parts.query).get("node-id", [None])[0]
    return path[2] or path[1], node


def node_id(text: str) -> str:
    """Return a node id as the API takes it: `1-2` of an address becomes `1:2`.

    Raises:
        ValueError: It is no node id.
    """
    text = text.strip()
    normal = text if ":" in text else re.sub(r"([0-9])-", r"\1:", text)
    if not _NODE.fullmatch(normal):
        raise ValueError(f"{text[:50]!r} is not a node id: write it as 1:2, or as 1-2 like the address bar")
    return normal


def file_stem(node: str) -> str:
    """Return a file name that no other node has: `I5:6;1:2` becomes `I5-6_1-2`; a long one ends with its digest."""
    stem = node.replace(":", "-").replace(";", "_")
    return stem if len(stem) <= _MOST_STEM else f"{stem[:_MOST_STEM]}_{sha256(node.encode()).hexdigest()[:16]}"


def ids_characters(nodes: Sequence[str]) -> int:
    """Return how long node ids are in an address, with their commas."""
    return sum(len(quote(node, safe="")) + 1 for node in nodes)
