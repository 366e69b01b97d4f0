"""JSON and times that PostgreSQL can store and Python cannot parse are decoded, and marked as unreadable."""

import gc
import json
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.decoding import MAX_LEVELS, PartlyUnreadable, Unreadable, decode, read_time
from cogo_dagster_tests.conftest import Owner

HUGE = "1" + "0" * 5_000

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(['"', "\\", '\\"[', "]}", "1" * 400]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(values)
def test_valid_json_is_decoded_as_by_the_json_module(value: Any) -> None:
    """This holds for strings and bytes."""
    text = json.dumps(value)
    assert decode(text) == decode(text.encode()) == json.loads(text)


@given(values, st.sampled_from(["  ", ""]))
def test_a_huge_number_does_not_change_its_siblings(value: Any, indent: str) -> None:
    """Only numbers of more than 300 digits become unreadable too."""
    text = json.dumps({"sound": value, "sick": {"n": 0}}, indent=indent or None, ensure_ascii=not indent)
    found = decode(text.replace('"n": 0', f'"n": {HUGE}'))
    assert found["sound"] == value
    assert isinstance(found, PartlyUnreadable)
    assert found["sick"] == {"n": "unreadable: a number of 5,001 digits"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'{{"a": {HUGE}}}', ["a"]),
        (f'{{"a": -{HUGE}}}', ["a"]),
        (f'{{"a": [1, [{HUGE}]]}}', ["a", 1, 0]),
        ('{"a": ' + "[" * 301 + "]" * 301 + "}", ["a", *[0] * (MAX_LEVELS - 1)]),
        ('{"a": ' + "[" * 1_200 + "]" * 1_200 + "}", ["a", *[0] * (MAX_LEVELS - 1)]),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, ["a"] * MAX_LEVELS),
    ],
    ids=["number", "negative", "in lists", "some lists", "lists", "objects"],
)
def test_an_unreadable_part_and_its_parents_are_marked(text: str, place: list[Any]) -> None:
    """Every object on the path to it is a PartlyUnreadable."""
    found = decode(text)
    for step in place:
        assert not isinstance(found, dict) or isinstance(found, PartlyUnreadable)
        found = found[step]
    assert isinstance(found, Unreadable)
    assert found.startswith("unreadable: ")


def test_an_unreadable_row_does_not_affect_others() -> None:
    """Of three rows, one is partly unreadable; a payload with the maximum depth is decoded completely."""
    deep = "[" * 100 + "]" * 100
    rows = decode(f'{{"jobs": [{{"payload": {{"n": {HUGE}}}}}, {{"payload": {deep}}}, {{"payload": {{}}}}]}}')["jobs"]
    assert [isinstance(row, PartlyUnreadable) for row in rows] == [True, False, False]
    assert rows[1]["payload"] == json.loads(deep)


def test_a_string_that_looks_like_a_mark_is_kept() -> None:
    """Strings are unchanged beside an unreadable part too."""
    text = "unreadable: a number of 5,001 digits"
    found = decode(json.dumps({"text": text, "quote": 'a "5 [ \\'})[:-1] + f', "n": {HUGE}}}')
    assert (found["text"], found["quote"]) == (text, 'a "5 [ \\')
    assert not isinstance(found["text"], Unreadable)


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"a": 1', "[" * 5_000, b"\xff", '{"a": "' + "1" * 5_000])
def test_invalid_json_is_rejected(text: str | bytes) -> None:
    """The error is the same at every depth."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@pytest.mark.parametrize("part", ['{"a": [1, 2, "b"]},', "9" * 299 + ",", '"' + "\\\\" * 100 + '",', "[[[]]],"])
def test_decoding_takes_linear_time(part: str) -> None:
    """Eight times the text takes about eight times as long, and not sixty-four times."""

    def seconds(parts: int) -> float:
        text = "[" + part * parts + HUGE + "]"
        gc.disable()  # its time depends on all other objects
        began = time.process_time()
        decode(text)
        gc.enable()
        return time.process_time() - began

    small = min(seconds(2_000) for _ in range(3))
    assert min(seconds(16_000) for _ in range(3)) < 24 * small + 0.01


def test_a_row_from_the_database_is_decoded(owner: Owner) -> None:
    """The row has a jsonb number of 5,001 digits as PostgreSQL writes it."""
    owner.execute("select 1")
    row = owner.execute("select jsonb_build_object('n', '1e5000'::numeric)::text").fetchone()
    assert row
    assert decode(row[0]) == {"n": "unreadable: a number of 5,001 digits"}


@pytest.mark.parametrize(
    "literal",
    ["infinity", "-infinity", "11026-11-27 12:00+00", "0044-03-15 BC", "9999-12-31 23:59:59+00", "0001-01-01"],
)
def test_a_time_outside_pythons_range_is_unreadable(dsn: str, literal: str) -> None:
    """Literals are spelt as in PostgreSQL's JSON, including those that leave the range in another time zone."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select to_json(%s::timestamptz)", (literal,)).fetchone()
    assert row
    assert isinstance(read_time(row[0]), Unreadable)


@pytest.mark.parametrize("given", [None, 5, "", "yesterday", [], "2026-13-45T00:00:00+00:00"])
def test_a_value_that_is_not_a_time_is_unreadable(given: object) -> None:
    """The value may have any type."""
    assert isinstance(read_time(given), Unreadable)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_other_time_is_parsed(moment: datetime) -> None:
    """The time may have an offset or not."""
    assert read_time(moment.isoformat()) == read_time(moment.replace(tzinfo=None).isoformat()) == moment
