"""The pages and commands of alerts."""

import re
from urllib.parse import unquote

import pytest

from cogo_dagster.alerts.references import AlertFacts, command, references
from cogo_dagster.cli.app import COMMANDS
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.settings import PROJECT_ROOT

REFS = {"job_id": "j", "run_id": "r", "artifact_id": "a", "evidence_id": "e", "evidence": "evidence.json"}

_TABLE = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## Alerts")[1].split("```")[0]
KINDS = re.findall(r"^\| `(\w+)` \|", _TABLE, re.MULTILINE)
"""The documented kinds of alerts."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_alert_has_a_page_or_a_command(kind: str) -> None:
    """An operator who reads an alert can inspect its cause."""
    facts = AlertFacts(
        kind, "slack", "f", {"run_id": "r"} if kind == "run_failed" else {"job_id": "j"} if "job" in kind else {}
    )
    assert references(facts) or command(facts)
    text = command(facts)
    if text:
        assert text.split()[0] == "cogo"
        assert text.split()[1] in COMMANDS


def test_the_pages_of_a_dead_lettered_job() -> None:
    """The cause comes first, then the job, its evidence, the Dagster run and the newest artifact."""
    pages = references(AlertFacts("job_failed", "browser", "f", REFS))
    assert [(page.title, page.path) for page in pages] == [
        ("Cause", "/dashboard/dlq?fingerprint=f"),
        ("Job", "/dashboard/jobs/j"),
        ("Evidence", "/dashboard/jobs/j#artifact-e"),
        ("Dagster run", "/runs/r"),
        ("Artifact", "/api/artifacts/a/content"),
    ]


def test_the_pages_of_a_gate_run() -> None:
    """The run that failed last, then all; alerts of earlier releases know the list only."""
    pages = [page.path for page in references(AlertFacts("gate_failed", "main", "f", {"gate_run_id": "g"}))]
    assert pages == ["/dashboard/gate/g", "/dashboard/gate"]
    assert [page.path for page in references(AlertFacts("gate_failed", "main", "f", {}))] == pages[1:]


def test_quotes_in_an_executor_id_are_part_of_the_search() -> None:
    """Its due jobs are found, and the search has no problem."""
    name = 'the "blue" one: 50 %, größer ' + "x" * 170
    [page] = references(AlertFacts("jobs_stranded", "figma", "f", {"family": "figma", "executor_id": name}))
    search = JobSearch.parse(unquote(page.path.partition("?q=")[2]))
    assert not search.problems
    assert search.filter("")["executor_ids"] == [name]


def test_the_pages_of_a_silent_worker() -> None:
    """Its card, its jobs and the Dagster run."""
    pages = references(AlertFacts("worker_dead", "box 1", "f", {"instance_id": "i", "run_id": "r"}))
    assert [page.path for page in pages] == [
        "/dashboard/workers#w-i",
        "/dashboard/jobs?q=worker%3A%22box%201%22",
        "/runs/r",
    ]
