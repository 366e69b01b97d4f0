"""Values at the edges of what programs handle."""

import base64
import json
from typing import Any, Final

from hypothesis import strategies as st

ODD_TEXTS: Final = ("", "\x00", "\ud800", "\x1b[2J", "1e5000", "9" * 5_000, "../../etc/passwd", "a-" * 3_000, "null")

TEXTS: Final = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=40))

_LEAVES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((10**400, -(10**400), 2**63, -(2**63) - 1)),
    st.floats(),
    TEXTS,
)


def documents(keys: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON-like values, including NaN, huge integers, lone surrogates and deep nesting."""
    nested = st.recursive(
        _LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
        max_leaves=12,
    )
    return st.one_of(*[nested] * 9, st.sampled_from((90, 101, 3_000)).map(_deep))


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def as_bytes(value: Any) -> bytes:
    """Return the value as JSON, or invalid bytes if it cannot be encoded."""
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        return b"[" * 3_000


def as_xml(text: str) -> bytes:
    """Return a report that contains this text."""
    return f'<testsuites><testsuite tests="{text}"><testcase name="{text}" time="{text}"/></testsuite>'.encode(
        "utf-8", "surrogatepass"
    )


def as_base64(value: Any) -> str:
    """Return a cursor with this value."""
    return base64.urlsafe_b64encode(as_bytes(value)).decode().rstrip("=")
