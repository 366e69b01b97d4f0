"""External text becomes storable, and valid text is returned unchanged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.text import printable, storable, storable_json
from cogo_dagster_tests.conftest import Owner

ANY = st.text(st.characters())  # surrogates and U+0000 too


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [("주문 \ud83d…", "주문 \ufffd…"), ("a\0b", "a\ufffdb"), ("\udfff\0", "\ufffd\ufffd"), ("🎉 fine", "🎉 fine")],
)
def test_text_becomes_storable(given_text: str, kept: str) -> None:
    """Lone surrogates and U+0000 are replaced; a surrogate pair is kept."""
    assert storable(given_text) == kept


@given(ANY)
def test_storable_text_can_be_encoded_and_is_not_copied_when_clean(text: str) -> None:
    """The function is idempotent, keeps the length, and returns valid text itself."""
    kept = storable(text)
    kept.encode()
    assert "\0" not in kept
    assert len(kept) == len(text)
    assert storable(kept) is kept


def test_a_valid_document_is_not_copied() -> None:
    """The same object is returned, with the result that nothing changed."""
    document = {"a": [1, 2.5, None, True, {"b": "🎉"}]}
    kept, changed = storable_json(document)
    assert kept is document
    assert not changed


def test_a_document_becomes_storable(owner: Owner) -> None:
    """Keys, numbers that JSON lacks, huge integers and depth are changed so that PostgreSQL accepts the document."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    document = {"\ud83d": ["\0", float("nan"), float("-inf"), 10**5_000, (1, "\udc00")], "deep": deep, "ok": 10**299}
    kept, changed = storable_json(document)
    assert changed
    assert kept["\ufffd"][:3] == ["\ufffd", None, None]
    assert kept["\ufffd"][3] == "unreadable: a number of about 5,000 digits"
    assert kept["\ufffd"][4] == [1, "\ufffd"]
    assert kept["ok"] == 10**299
    row = owner.execute("select %s::jsonb", (json.dumps(kept),)).fetchone()
    assert row is not None


def test_control_characters_of_terminals_are_escaped() -> None:
    """ESC, C1, DEL, direction overrides and lone surrogates are escaped; line feeds and letters are kept."""
    assert printable("a\x1b[2J\x9b\x7f\u202e\ud83d\tb\n한글 🎉") == "a\\x1b[2J\\x9b\\x7f\\u202e\\ud83d b\n한글 🎉"
