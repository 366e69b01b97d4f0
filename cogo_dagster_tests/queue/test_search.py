"""Parsing of the filter language, without a database."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.grammar import MAX_CHARS, JobSearch
from cogo_dagster.queue.search.qualifiers import EXAMPLES, QUALIFIERS

NOW = datetime(2026, 11, 27, 13, 30, tzinfo=UTC)
TODAY, YESTERDAY, TOMORROW = (f"2026-11-{day}T00:00:00+00:00" for day in (27, 26, 28))


def filter_of(typed: str) -> Json:
    """Return the filter of a search without problems."""
    return JobSearch.parse_strictly(typed).filter("0.2.0", NOW)


def _entry(key: str, value: str) -> Json:
    return {"path": [key], "value": value}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", {}),
        ("type:browser status:failed", {"types": ["browser"], "statuses": ["failed"]}),
        ("STATUS:Failed,queued", {"statuses": ["failed", "queued"]}),
        ("type:gate type:browser", {"types": ["gate", "browser"]}),
        ("-type:gate,figma error:timeout", {"not": {"types": ["gate", "figma"]}, "error_classes": ["timeout"]}),
        ('worker:"a, b" word other', {"worker_ids": ["a, b"], "words": "word other"}),
        ("device:mac-1 host:mac-2 executor:x", {"hosts": ["mac-1", "mac-2"], "executor_ids": ["x"]}),
        ("https://example.com/a localhost:8080", {"words": "https://example.com/a localhost:8080"}),
        ('"staus:failed" -hidden', {"words": "staus:failed -hidden"}),
        ("dlq:01a2", {"words": "dlq:01a2"}),
        ("since:2h", {"created": {"from": 7200.0}}),
        ("until:1d", {"created": {"to": 86400.0}}),
        ("since:2026-11-20 until:yesterday", {"created": {"from": "2026-11-20T00:00:00+00:00", "to": TODAY}}),
        ("finished:yesterday", {"finished": {"from": YESTERDAY, "to": TODAY}}),
        ("created:today lost:1d", {"created": {"from": TODAY, "to": TOMORROW}, "lost": {"from": 86400.0, "to": None}}),
        ("finished:2026-11-26..today", {"finished": {"from": YESTERDAY, "to": TOMORROW}}),
        ("finished:2d..1d", {"finished": {"from": 172800.0, "to": 86400.0}}),
        (
            "created:2026-11-26T10:00+02:00",
            {"created": {"from": "2026-11-26T08:00:00+00:00", "to": "2026-11-26T08:01:00+00:00"}},
        ),
        ("priority:3", {"priority": {"from": 3, "to": 3}}),
        ("priority:2..", {"priority": {"from": 2, "to": 9}}),
        ("priority:<3", {"priority": {"from": 0, "to": 2}}),
        ('is:"due,unaddressed" type:"a,b"', {"conditions": ["due", "unaddressed"], "types": ["a,b"]}),
        ("is:due,unaddressed", {"conditions": ["due", "unaddressed"]}),
        ("payload.viewport.width:1280", {"payload": [{"path": ["viewport", "width"], "value": "1280"}]}),
        ("release:older", {"release_before": "0.2.0"}),
        ("release:<0.1.5", {"release_before": "0.1.5"}),
        ("release:current,0.1.0", {"releases": ["0.2.0", "0.1.0"]}),
        ("-release:current", {"not": {"releases": ["0.2.0"]}}),
        ("id:01a21f54,84737f7a", {"ids": ["01a21f54", "84737f7a"]}),
        ("payload.userAgent:x PAYLOAD.a:y", {"payload": [_entry("userAgent", "x"), _entry("a", "y")]}),
        ("attempt:01a21f54 run:84737f7a", {"attempts": ["01a21f54"], "runs": ["84737f7a"]}),
        ("is:discarded type:browser,figma", {"conditions": ["discarded"], "types": ["browser", "figma"]}),
        ("priority:3..3 finished:1d..", {"priority": {"from": 3, "to": 3}, "finished": {"from": 86400.0, "to": None}}),
        ('payload.title:5" 12"x', {"payload": [_entry("title", '5"')], "words": '12"x'}),
        ('error:"a ""b"", c" "say ""hi"""', {"error_classes": ['a "b", c'], "words": 'say "hi"'}),
        ("action:01a21f54 is:skipped", {"action_id": "01a21f54", "conditions": ["skipped"]}),
        ("action:01a21f54 sort:oldest", {"action_id": "01a21f54", "order": "oldest"}),
    ],
)
def test_qualifiers_become_filters_and_the_rest_is_text(typed: str, expected: Json) -> None:
    """Known qualifiers become filters; a URL, a port, quoted text and a word of no qualifier are text."""
    assert filter_of(typed) == expected


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("staus:failed", "status:"),
        ("typ:browser", "type:"),
        ("-eror:dns", "error:"),
        ("finishd:1h", "finished:"),
        ("paylod.url:x", "payload.url:"),
        ("payload:x", "payload.KEY:"),
        ("status:faild", "did you mean failed?"),
        ("status:done", "queued, running"),
        ("is:pausd", "did you mean paused?"),
        ("since:soon", "since:2h"),
        ("finished:2026-02-30", "finished:yesterday"),
        ("finished:..", "FROM..TO"),
        ("priority:10", "priority:0..3"),
        ("id:123", "at least 8"),
        ("release:<x", "release:older"),
        ("sort:up", "newest, oldest"),
        ('type:""', "type:VALUE"),
        ("type:,", "type:VALUE"),
        ("type:", "type:VALUE"),
        ("-finished:1h", "cannot be negated"),
        ("-release:older", "cannot be negated"),
        ("finished:1h finished:yesterday", "given twice"),
        ("priority:1..0", "0 to 9"),
        ("priority:<0", "0 to 9"),
        ("priority:>9", "0 to 9"),
        ("priority:-1", "priority:0..3"),
        ("priority:many", "priority:0..3"),
        ("finished:2026-11-26..2026-11-20", "earlier time"),
        ("created:1d..2d", "earlier time"),
        ("lost:0", "longer than 0"),
        ("since:-2h", "since:2h"),
        ("since:2d..1d", "created:2d..1d"),
        ("since:2026-11-26 until:2026-11-20", "after since:"),
        ("created:yesterday since:1h", "one range"),
        ('error:"unclosed', "not closed"),
        ('"unclosed text', "not closed"),
        ('type:"a"b', "without a space"),
        ('host:a,"b', "middle"),
        ('""', "every job"),
        ('" "', "every job"),
        ('host:" "', "host:VALUE"),
        ("type:=", "type:VALUE"),
        ("payload.:x", "payload.KEY:VALUE"),
        ("payload.a..b:x", "payload.KEY:VALUE"),
        ("payload.url:", "payload.KEY:VALUE"),
        ("staus:", "status:VALUE"),
        ("type:browser*", "remove the *"),
        ("release:older,0.1.0", "alone"),
        ("release:older release:0.1.0", "exclude each other"),
        ("host:a -host:a", "exclude each other"),
        ("-host:a,b host:b", "exclude each other"),
        ("is:due,scheduled", "write one of them"),
        ("is:due is:paused", "write one of them"),
        ("is:dead-lettered,discarded", "write one of them"),
        ("is:due status:failed", "is:due finds no job"),
        ("status:queued is:discarded", "is:discarded finds no job"),
        ("is:skipped", "add action:ID"),
        ("finished:2026-11-26T10:00 09:00", "%2B"),
        ("executor:a is:unaddressed", "exclude each other"),
        ("status:running finished:1d", "finished: finds no"),
    ],
)
def test_an_invalid_term_is_rejected_with_what_to_write(typed: str, says: str) -> None:
    """It is not searched as text, and a strict search as an action needs it fails."""
    search = JobSearch.parse(f"error:dns {typed}")
    [problem] = search.problems
    assert says in problem
    assert problem.endswith(".")
    assert "words" not in search.filter("0.2.0", NOW)
    with pytest.raises(InvalidArgument):
        JobSearch.parse_strictly(typed)


def test_a_search_that_is_too_long_is_reported() -> None:
    """Otherwise an action would apply to the first part of it."""
    assert "shorten it" in JobSearch.parse("type:browser " + "x" * MAX_CHARS).problems[0]


@given(st.text(max_size=80) | st.builds("{}:{}".format, st.sampled_from(sorted(QUALIFIERS)), st.text(max_size=20)))
def test_parsing_is_idempotent(typed: str) -> None:
    """Parsing never raises, and the text of a parsed search has the same filter."""
    search = JobSearch.parse(typed)
    again = JobSearch.parse(str(search))
    assert again.filter("0.2.0", NOW) == search.filter("0.2.0", NOW)


def test_a_link_of_the_status_list_changes_the_status_only() -> None:
    """The other filters are kept."""
    search = JobSearch.parse("status:failed type:browser -status:queued")
    assert str(search.with_status("queued")) == "type:browser status:queued"
    assert str(search.with_status(None)) == "type:browser"
    assert str(search.without(search.terms[1])) == "status:failed -status:queued"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_documentation_are_valid(example: str) -> None:
    """Every term of them is a qualifier."""
    assert "words" not in filter_of(example)
