"""Parsing of job searches, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.model import Json
from cogo_dagster.web.search import JobSearch


@pytest.mark.parametrize(
    ("typed", "filters"),
    [
        ("", {}),
        ("type:browser status:failed error:timeout", {"type_prefix": "browser", "error_class": "timeout"}),
        ("STATUS:failed", {}),
        ('worker:"a b" word other', {"worker_id": "a b", "words": "word other"}),
        ("since:2h device:mac-1 executor:x", {"since_seconds": 7200.0, "device": "mac-1", "executor_id": "x"}),
        ("https://example.com/a", {"words": "https://example.com/a"}),
    ],
)
def test_qualifiers_become_filters_and_the_rest_is_text(typed: str, filters: Json) -> None:
    """Known qualifiers become filters; a URL is text although it has a colon."""
    found = {name: value for name, value in JobSearch.parse(typed).filters().items() if value is not None}
    assert {name: value for name, value in found.items() if name != "statuses"} == filters
    assert found.get("statuses") == (["failed"] if "failed" in typed else None)


@pytest.mark.parametrize("typed", ["status:done", "since:soon", 'type:""'])
def test_an_invalid_term_is_reported(typed: str) -> None:
    """An invalid term yields one message; the valid terms apply."""
    search = JobSearch.parse(f"{typed} error:dns")
    assert len(search.problems) == 1
    assert str(search) == "error:dns"


@given(st.text(max_size=80))
def test_parsing_is_idempotent(typed: str) -> None:
    """Parsing never raises, and the text of a parsed search has the same filters."""
    search = JobSearch.parse(typed)
    assert JobSearch.parse(str(search)).filters() == search.filters()


def test_a_link_of_the_status_list_changes_the_status_only() -> None:
    """The other filters are kept."""
    search = JobSearch.parse("status:failed type:browser")
    assert str(search.with_status("queued")) == "type:browser status:queued"
    assert str(search.with_status(None)) == "type:browser"
    assert str(search.without(search.terms[1])) == "status:failed"
