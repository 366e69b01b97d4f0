"""The record of a browser attempt can be read wherever it is stored."""

import json
from typing import Any

import pytest

from cogo_dagster.formatting.browser_evidence import BrowserEvidence, FailedRequest, TimedStep

EVIDENCE = BrowserEvidence(
    steps=(TimedStep(step="goto https://example.com/", duration_ms=700), TimedStep(step="title", duration_ms=2)),
    console_errors=("a", "b"),
    failed_requests=(FailedRequest(url="https://example.com/x", reason="net::ERR_FAILED"),),
)


def document(evidence: BrowserEvidence) -> dict[str, Any]:
    """Return the record as it is stored."""
    return evidence.model_dump(mode="json", exclude_none=True)


def test_a_written_record_is_read_from_the_file_and_from_the_result() -> None:
    """A record is read from the content of evidence.json and from a result that has other keys too."""
    assert BrowserEvidence.read(json.dumps(document(EVIDENCE)).encode()) == EVIDENCE
    assert BrowserEvidence.read({"title": "x", **document(EVIDENCE)}) == EVIDENCE


@pytest.mark.parametrize(
    "document", [None, [], {}, {"steps": 1}, {"steps": [{}]}, "{", b"\xff", "[" * 5_000, {"forced": True}, "null"]
)
def test_anything_else_is_no_record(document: object) -> None:
    """Other results, broken files and empty values are not a record, and raise nothing."""
    assert BrowserEvidence.read(document) is None


def test_a_record_of_an_earlier_release_is_read() -> None:
    """Fields that an earlier release did not write are empty."""
    read = BrowserEvidence.read({"steps": [{"step": "goto", "duration_ms": 3}], "notes": ["a note"]})
    assert read is not None
    assert (read.notes, read.missing, read.failed_step) == (("a note",), {}, None)


def test_the_summary_counts_problems() -> None:
    """The summary has only kinds that occurred, and the steps are summed up."""
    assert EVIDENCE.summary == "2 console errors, 1 failed request"
    assert BrowserEvidence(steps=()).summary == ""
    assert (EVIDENCE.duration_ms, EVIDENCE.slowest_step) == (702, EVIDENCE.steps[0])
    assert BrowserEvidence(steps=()).slowest_step is None


def test_the_failed_step_has_its_error() -> None:
    """Only a failed step has an error in the document."""
    failed = TimedStep(step="click #a", duration_ms=5, error="click #a: timed out.")
    evidence = BrowserEvidence(steps=(*EVIDENCE.steps, failed), missing={"page.html": "The page crashed."})
    assert evidence.failed_step == failed
    assert ["error" in step for step in document(evidence)["steps"]] == [False, False, True]
    assert document(evidence)["missing"] == {"page.html": "The page crashed."}
