"""Completions of a search, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.qualifiers import QUALIFIERS
from cogo_dagster.queue.search.suggestions import complete


def known(key: str, prefix: str) -> list[str]:
    """Return types and workers of a queue."""
    values = {"types": ["browser", "browser.pdf"], "worker_ids": ["mac mini", "mac-1"]}.get(key, [])
    return [value for value in values if value.startswith(prefix)]


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("sta", ["status:"]),
        ("type:browser fin", ["type:browser finished:"]),
        ("-sta", ["-status:"]),
        ("-fin", []),
        ("pay", ["payload."]),
        ("status:fai", ["status:failed "]),
        ("status:failed,", [f"status:failed,{status} " for status in ("queued", "running", "succeeded", "cancelled")]),
        ("type:", ["type:browser ", "type:browser.pdf "]),
        ("type:browser,b", ["type:browser,browser.pdf "]),
        ("worker:mac", ['worker:"mac mini" ', "worker:mac-1 "]),
        ('worker:"mac', ['worker:"mac mini" ', "worker:mac-1 "]),
        ("finished:y", ["finished:yesterday "]),
        ("staus:failed", ["status:failed"]),
        ("https://exa", []),
        ("words of text ", [f"words of text {name}{'.' if name == 'payload' else ':'}" for name in QUALIFIERS][:12]),
    ],
)
def test_the_last_term_is_completed(typed: str, texts: list[str]) -> None:
    """A qualifier, then a value of it; what comes before is kept."""
    assert [suggestion.text for suggestion in complete(typed, known)] == texts


@given(st.text(max_size=60))
def test_completions_of_valid_searches_are_valid(typed: str) -> None:
    """Completing never raises, and a completed value adds no problem."""
    problems = JobSearch.parse(typed).problems
    for suggestion in complete(typed, known):
        if suggestion.text.endswith(" "):
            assert len(JobSearch.parse(suggestion.text).problems) <= len(problems) + 1
