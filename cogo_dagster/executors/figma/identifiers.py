"""Figma's file keys, node ids, and links copied from the address bar."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

_MAX_STEM_LENGTH: Final = 180
_LINK: Final = re.compile(r"^https?://", re.IGNORECASE)
# FigJam boards, slides and the like are files too; community pages, teams and projects are not.
_PATH: Final = re.compile(
    r"^/(?:file|design|proto|board|slides|deck|buzz|site)/([A-Za-z0-9_-]{1,128})(?:/branch/([A-Za-z0-9_-]{1,128}))?(?:/|$)"
)
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NODE: Final = re.compile(r"I?-?[0-9]{1,12}:-?[0-9]{1,12}(;-?[0-9]{1,12}:-?[0-9]{1,12}){0,20}")


def split_link(text: str) -> tuple[str, str | None]:
    """Return the file key (of a branch, the branch's key) and the node id of a Figma link; a key is returned unchanged.

    Raises:
        ValueError: The text is neither a link to a file nor a key.
    """
    text = text.strip()
    if not _LINK.match(text):
        if not _KEY.fullmatch(text):
            raise ValueError("must be a file key (the part after /design/ in the file's URL), or the file's URL")
        return text, None
    parts = urlsplit(text)
    path = _PATH.match(parts.path)
    if (parts.hostname or "").removeprefix("www.") != "figma.com" or path is None:
        raise ValueError("is a URL, but not of a file such as https://www.figma.com/design/…: copy the file's URL")
    node = parse_qs(parts.query).get("node-id", [None])[0]
    return path[2] or path[1], node


def node_id(text: str) -> str:
    """Return a node id in the API's form: `1-2` of a URL becomes `1:2`.

    Raises:
        ValueError: The text is not a node id.
    """
    text = text.strip()
    normal = text if ":" in text else re.sub(r"([0-9])-", r"\1:", text)
    if not _NODE.fullmatch(normal):
        raise ValueError(f"{text[:50]!r} is not a node id: write it as 1:2, or as 1-2 as in URLs")
    return normal


def file_stem(node: str) -> str:
    """Return a unique file name for a node: `I5:6;1:2` becomes `I5-6_1-2`; a long name ends with a digest."""
    stem = node.replace(":", "-").replace(";", "_")
    return (
        stem if len(stem) <= _MAX_STEM_LENGTH else f"{stem[:_MAX_STEM_LENGTH]}_{sha256(node.encode()).hexdigest()[:16]}"
    )


def ids_characters(nodes: Sequence[str]) -> int:
    """Return the length of node ids in a URL, including commas."""
    return sum(len(quote(node, safe="")) + 1 for node in nodes)
