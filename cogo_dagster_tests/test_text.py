"""External text becomes storable, and valid text is returned unchanged."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.executors.browser.traces import _clean
from cogo_dagster.text import (
    MAX_PARSED_LEVELS,
    is_deeper,
    load_json,
    parse_json,
    parse_storable_json,
    printable,
    storable,
    storable_json,
)
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


@given(st.dictionaries(ANY, ANY | st.none() | st.booleans() | st.integers() | st.floats(), max_size=3))
def test_a_flat_object_is_checked_like_a_part_of_a_document(members: dict[str, object]) -> None:
    """The quick check of an object with only texts, booleans and nulls has the result of the complete one."""
    [kept], changed = storable_json([members])
    assert repr(storable_json(members)) == repr((kept, changed))


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


def parsed(parse: Callable[[str], object], text: str) -> str:
    """Return the value or the message of the error."""
    try:
        return repr(parse(text))
    except ValueError as error:
        return str(error)


def reject(name: str) -> None:
    """Reject a constant that is not a JSON number."""
    raise ValueError(f"{name} is not a JSON number")


@given(
    st.lists(
        st.sampled_from(['{"a":', "1", "NaN", "[", "]", "}", ",", " ", "\n", '"\\ud800"', "\ufeff", "-Infinity"])
    ).map("".join)
)
def test_standard_json_is_parsed_as_by_the_standard_library(text: str) -> None:
    """The value and the message are those of `json.loads`, which makes a new decoder for each call."""
    assert parsed(parse_json, text) == parsed(lambda given_text: json.loads(given_text, parse_constant=reject), text)


@given(
    st.dictionaries(ANY, ANY | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(ANY), max_size=3),
    st.booleans(),
)
def test_a_document_is_parsed_and_checked_at_once(members: dict[str, object], ascii_only: bool) -> None:
    """The value and whether it can be stored are those of the two functions, with and without escapes."""
    text = json.dumps(members, ensure_ascii=ascii_only)
    try:
        value = parse_json(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            parse_storable_json(text)
        return
    found, is_storable = parse_storable_json(text)
    assert (repr(found), is_storable) == (repr(value), not storable_json(value)[1])


@pytest.mark.parametrize("parse", [load_json, parse_json, parse_storable_json])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", ""])
def test_invalid_json_raises_one_kind_of_error(parse: Callable[[str], object], text: str) -> None:
    """Deep nesting, for which `json.loads` raises RecursionError, included."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


documents = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(['"', "\\", '\\"[', "]}", "{["]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def depth(value: Any) -> int:
    """Return the number of nested arrays and objects."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(documents, st.integers(0, 6), st.booleans())
def test_nesting_is_measured_without_parsing(value: Any, levels: int, ascii_only: bool) -> None:
    """Brackets in strings do not count, nor do quotes and backslashes in them."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert is_deeper(text, levels) == is_deeper(text.encode(), levels) == (depth(value) > levels)


@pytest.mark.parametrize("levels", [MAX_PARSED_LEVELS + 1, 600, 1_500, 100_000])
def test_json_from_outside_is_rejected_on_every_version_of_python_if_nested_too_deeply(levels: int) -> None:
    """What is accepted can be read by functions that descend into it: one of them calls itself twice per level."""
    with pytest.raises(ValueError, match="it is nested too deeply"):
        load_json("[" * levels + "]" * levels)
    accepted = load_json("[" * MAX_PARSED_LEVELS + "]" * MAX_PARSED_LEVELS)
    assert _clean(accepted) == accepted
