"""Whatever comes in is either read or refused with one sentence: no other exception, and no write."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.executors.registry import families, validate_payload
from cogo_dagster.quality.reports import ReportError, read_report
from cogo_dagster.quality.reports.report import KINDS
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import ExecutionFailed, InvalidPayload, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, Outcome
from cogo_dagster.queue.worker.attempt import run_attempt
from cogo_dagster.redaction import redact
from cogo_dagster.settings import load_settings
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.api.cursors import read_cursor
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.fuzz.strategies import TEXTS, as_base64, as_bytes, as_xml, documents
from cogo_dagster_tests.worker.executors import FakeExecutor

EXAMPLES: Final = int(os.environ.get("COGO_FUZZ_EXAMPLES", "0"))
"""Unset: a short form, the same every time. Set: so many cases for each test, other ones each time."""

_SHORT: Final = 60
_PER_COMMAND: Final = 20
"""A command takes as long as so many cases of the others."""

_PLAN_KEYS: Final = ("format", "operation", "arguments", "items", "made_at", "made_by", "deployment_id")
_PAYLOAD_KEYS: Final = ("url", "branch", "week", "file_key", "actions", "nodes", "timeout_seconds", "viewport", "mode")
_WORDS: Final = (
    *("enqueue", "browser", "list", "jobs", "job", "show", "--json", "--payload", "retry", "failed", "--plan"),
    *("purge", "--older-than", "-1", "--limit", "replay", "dlq", "--since", "pause", "type", "stats", "gate"),
)


def _cases(divisor: int = 1) -> settings:
    return settings(
        max_examples=max((EXAMPLES or _SHORT) // divisor, 5),
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def job(payload: Any) -> Job:
    """Return a claimed job with this payload."""
    row = {
        "id": str(uuid4()),
        "type": "browser",
        "payload": payload,
        "lease_token": str(uuid4()),
        "attempts": 1,
        "max_attempts": 5,
        "priority": 5,
        "executor_id": None,
        "idempotency_key": None,
        "timeout_seconds": None,
        "created_at": None,
    }
    return Job.from_json(row)


def endings() -> st.SearchStrategy[Any]:
    """Return what an executor may raise or return."""
    anything = documents()
    files = st.builds(ArtifactFile, anything, anything, anything)
    return st.one_of(
        anything,
        st.builds(ExecutionResult, anything, st.one_of(anything, st.lists(files, max_size=2))),
        st.builds(
            lambda text, name, delay, again: ExecutionFailed(
                text, error_class=name, retryable=again, delay_seconds=delay, detail=text
            ),
            anything,
            anything,
            anything,
            anything,
        ),
        st.builds(lambda reason, delay: Snooze(reason, delay_seconds=delay), anything, anything),
        st.builds(lambda kind, text: kind(text), st.sampled_from((ValueError, KeyError, MemoryError, OSError)), TEXTS),
    )


@_cases()
@given(ending=endings())
def test_every_ending_becomes_an_outcome_that_can_be_sent(ending: Any) -> None:
    """Whatever an executor returns or raises, there is a settlement, and all but its result is JSON."""

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        if isinstance(ending, BaseException):
            raise ending
        return cast("ExecutionResult", ending)

    ended = asyncio.run(run_attempt(FakeExecutor(body), job({}), Workspace()))
    document = ended.settlement.to_json()
    assert document["outcome"] in set(Outcome)
    json.dumps({name: value for name, value in document.items() if name != "result"}, allow_nan=False)


@pytest.mark.parametrize("family", sorted(families()))
def test_a_payload_is_taken_or_refused(family: str) -> None:
    """Each executor's check raises InvalidPayload and nothing else."""
    keys = st.one_of(TEXTS, st.sampled_from(_PAYLOAD_KEYS))
    environment = load_settings(None)

    @_cases(2)
    @given(payload=documents(keys))
    def check(payload: Any) -> None:
        with contextlib.suppress(InvalidPayload):
            validate_payload(family, payload, environment)

    check()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_report_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    """Each parser raises ReportError and nothing else."""
    path = tmp_path / "report"

    @_cases()
    @given(content=st.one_of(st.binary(max_size=200), documents().map(as_bytes), TEXTS.map(as_xml)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(ReportError):
            read_report(kind, path)

    check()


@_cases()
@given(document=documents(st.sampled_from(_PLAN_KEYS)))
def test_a_plan_is_read_or_refused(document: Any) -> None:
    """A damaged plan raises InvalidArgument and nothing else."""
    sound = {"format": "cogo plan 1", "operation": "purge_jobs", "arguments": {}, "items": []}
    for given_document in (document, {**sound, **document} if isinstance(document, dict) else sound):
        with contextlib.suppress(InvalidArgument):
            BulkPlan.from_json(given_document)


@_cases()
@given(cursor=st.one_of(TEXTS, documents().map(as_base64)))
def test_a_cursor_is_read_or_refused(cursor: str) -> None:
    """A cursor that nobody made raises Refused and nothing else."""
    with contextlib.suppress(RequestDenied):
        read_cursor(cursor, "created_at", "id")


@_cases()
@given(text=st.one_of(TEXTS, documents().map(lambda value: as_bytes(value).decode("utf-8", "replace"))))
def test_text_is_decoded_and_redacted(text: str) -> None:
    """Reading raises ValueError and nothing else; redaction raises nothing."""
    with contextlib.suppress(ValueError):
        decode(text)
    assert isinstance(redact(text, ("hunter2hunter2",)), str)


def test_a_command_ends_with_a_code_and_a_sentence(tmp_path: Path) -> None:
    """Words that make no sense end with one of the exit codes, and no traceback."""
    nowhere: Terminal = terminal(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", {})
    words = st.one_of(st.sampled_from(_WORDS), TEXTS.filter(lambda text: "\x00" not in text))

    @_cases(_PER_COMMAND)
    @given(line=st.lists(words, min_size=1, max_size=5))
    def check(line: list[str]) -> None:
        answer = nowhere.run(*line)
        assert answer.code in set(ExitCode), answer
        assert "Traceback" not in answer.out + answer.err

    check()
