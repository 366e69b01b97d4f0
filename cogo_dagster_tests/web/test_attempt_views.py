"""Attempts as the job page shows them, commands to copy, and workers by name. Pure functions."""

import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from cogo_dagster.formatting.browser_evidence import BrowserEvidence, TimedStep
from cogo_dagster.formatting.timeline import JobAttempt, Moment, latest_moments
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import StoredError, TruncatedJob
from cogo_dagster.queue.rows.workers import WorkerLosses, WorkerRow
from cogo_dagster.web.attempt_views import StepBar, artifacts_by_attempt, waterfall, why_no_screenshot
from cogo_dagster.web.commands import command_with_file, enqueue_command, enqueue_curl, job_like
from cogo_dagster.web.worker_groups import worker_groups

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def job(type: str = "browser", payload: Json = None, **fields: Any) -> TruncatedJob:
    """Return a job with the fields that the functions read."""
    values: dict[str, Any] = {"payload_start": None, "executor_id": None, "result": None}
    values |= {"priority": 5, "max_attempts": 5} | {"id": uuid4(), "timeout_seconds": None} | fields
    return TruncatedJob.model_construct(type=type, payload={"url": "x"} if payload is None else payload, **values)


def attempt(number: int = 1, outcome: str = "failed", minutes: int = 0) -> JobAttempt:
    """Return an attempt that was claimed some minutes after noon."""
    claimed = NOW + timedelta(minutes=minutes)
    return JobAttempt(number, outcome, "w", claimed, claimed, claimed, 1.0, StoredError(error_class="dns"))


def artifact(number: int | None, minutes: int = 0) -> ArtifactRow:
    """Return an artifact of an attempt."""
    read: dict[str, Any] = {"attempt": number, "created_at": NOW + timedelta(minutes=minutes, seconds=1)}
    return ArtifactRow.model_construct(**read)


def test_steps_follow_each_other_in_a_waterfall() -> None:
    """Bars start where the previous one ends and stay within the attempt; a step of no time is visible."""
    steps = [
        TimedStep(step="a", duration_ms=100),
        TimedStep(step="b", duration_ms=0),
        TimedStep(step="c", duration_ms=300),
    ]
    bars = waterfall(BrowserEvidence(steps=tuple(steps)))
    assert [(bar.left, bar.width) for bar in bars] == [(0, 25), (25, 0.5), (25, 75)]
    assert all(bar.left + bar.width <= 100 for bar in bars)
    assert waterfall(BrowserEvidence(steps=(TimedStep(step="a", duration_ms=0),)))[0].width == 0.5
    assert waterfall(None) == []


def test_artifacts_belong_to_the_attempt_of_their_number_and_time() -> None:
    """After a retry that resets the numbers, attempt 1 exists twice; an artifact of neither number is kept."""
    attempts = [attempt(1), attempt(2, minutes=5), attempt(1, minutes=10)]
    first, second, third, other = artifact(1), artifact(2, 5), artifact(1, 10), artifact(7)
    groups, others = artifacts_by_attempt(attempts, [first, second, third, other])
    assert (groups, others) == ([[first], [second], [third]], [other])


@pytest.mark.parametrize(
    ("outcome", "fields", "evidence", "reason"),
    [
        ("failed", {}, None, "the attempt failed before a page was open (dns)"),
        ("failed", {}, {"steps": [], "missing": {"screenshot.png": "it hangs."}}, "No screenshot: it hangs."),
        (
            "failed",
            {},
            {"steps": [], "missing": {"screenshot.png": "Timeout 5000ms exceeded."}},
            "No screenshot: the page never finished loading; a picture was not possible within 5 s.",
        ),
        ("failed", {}, {"steps": [], "notes": ["screenshot.png is missing: gone."]}, "No screenshot: gone."),
        ("failed", {}, {"steps": []}, "it was deleted, or could not be stored"),
        ("lost", {}, None, "the worker lost its lease"),
        ("succeeded", {"payload": {"screenshot": False}}, None, "`screenshot: false`"),
        ("succeeded", {"result": {"mode": "http"}}, None, "REAL_MODE=false"),
        ("succeeded", {"result": {}}, None, "after its retention period"),
    ],
)
def test_a_missing_screenshot_has_a_reason(outcome: str, fields: Json, evidence: Json, reason: str) -> None:
    """Each cause has its own."""
    record = None if evidence is None else BrowserEvidence.read(evidence)
    found = why_no_screenshot(job(**fields), attempt(outcome=outcome), record, [])
    assert found is not None
    assert reason in found


def test_no_reason_where_none_is_needed() -> None:
    """There is a screenshot, the attempt runs, or the job is no browser job."""
    assert why_no_screenshot(job(), attempt(), None, ["screenshot.png"]) is None
    assert why_no_screenshot(job(), attempt(outcome="running"), None, []) is None
    assert why_no_screenshot(job("figma"), attempt(), None, []) is None


def test_a_shell_reads_a_command_as_it_was_meant() -> None:
    """Quotes in a payload neither end the argument nor are expanded."""
    payload: Json = {"url": "https://example.com/?a='$(id)'&b=\"c\"", "n": 1}
    command = enqueue_command(NewJob("browser.pdf", payload, executor_id="mac 1", max_attempts=2))
    words = shlex.split(command)
    assert words[:5] == ["cogo", "enqueue", "browser", "--type", "browser.pdf"]
    assert json.loads(words[words.index("--payload") + 1]) == payload
    assert words[-4:] == ["--executor-id", "mac 1", "--max-attempts", "2"]
    curl = enqueue_curl(NewJob("gate", payload), "http://localhost:1/")
    done = subprocess.run(
        ["sh", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}; {curl}"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {"type": "gate", "payload": payload}
    assert done.stdout.splitlines()[0] == "http://localhost:1/api/jobs"


def test_an_unreadable_payload_has_no_command() -> None:
    """It must not be enqueued; the command for a truncated one reads the file that the page offers."""
    for broken in (job(payload={"unreadable": "deep"}), job(payload=[])):
        assert (job_like(broken), command_with_file(broken)) == (None, None)
    long = job(payload_start="{")
    assert job_like(long) is None
    command = command_with_file(long)
    assert command is not None
    assert shlex.split(command)[3:5] == ["--payload", f"@payload-{long.id}.json"]


def test_a_command_has_every_option_of_a_job() -> None:
    """An option for which the command has no argument, the timeout, makes it read the job from standard input."""
    options: dict[str, Any] = {"priority": 0, "run_in_seconds": 90, "idempotency_key": "a b"}
    words = shlex.split(enqueue_command(NewJob("figma", {"file_key": "k"}, **options)))
    assert words[5:] == ["--idempotency-key", "a b", "--priority", "0", "--run-in", "90s"]
    timed = NewJob("browser", {"url": "https://example.com/"}, timeout_seconds=30, **options)
    assert shlex.split(enqueue_command(timed))[3:] == ["|", "cogo", "enqueue", "browser", "@-"]
    assert json.loads(shlex.split(enqueue_command(timed))[2]) == timed.to_json()
    assert json.loads(shlex.split(enqueue_curl(timed, ""))[-1]) == timed.to_json()


def test_thousands_of_attempts_are_cut_without_losing_the_first_event() -> None:
    """The timeline has the first event and the latest ones, and the number of those between."""
    moments = [Moment(NOW + timedelta(seconds=n), "claimed", str(n)) for n in range(100)]
    shown, left_out = latest_moments(moments, 3)
    assert ([moment.title for moment in shown], left_out) == (["0", "97", "98", "99"], 96)
    assert latest_moments(moments[:4], 3) == (moments[:4], 0)


def test_a_step_is_not_repeated_in_front_of_its_error() -> None:
    """The waterfall has the name of the step beside the error."""
    assert StepBar("goto x", 1, 0, 1, "goto x: timed out").error_without_step == "timed out"
    assert StepBar("goto x", 1, 0, 1, "timed out").error_without_step == "timed out"


def worker(name: str, hours_ago: float, *, alive: bool = False) -> WorkerRow:
    """Return a start of a worker."""
    read: dict[str, Any] = {
        "instance_id": uuid4(),
        "worker_id": name,
        "alive": alive,
        "started_at": NOW - timedelta(hours=hours_ago),
        "concurrency": 4,
        "running": 1,
        "code_version": "1.0" if alive else "0.9",
    }
    return WorkerRow.model_construct(**read)


def test_live_workers_come_first_and_starts_are_folded_under_their_name() -> None:
    """Each start counts once, also if it is given twice; a name that has only lost leases is listed too."""
    old, new, live = worker("burst", 5), worker("burst", 1), worker("zed", 9, alive=True)
    mixed = [worker("ann", 3), worker("ann", 8, alive=True)]
    losses = [WorkerLosses.model_construct(worker_id=name, attempts=2, jobs=1) for name in ("zed", "gone")]
    groups = worker_groups([old, new, live, live, *mixed], losses)
    assert [group.name for group in groups] == ["ann", "zed", "burst", "gone"]
    ann, zed, burst, gone = groups
    assert (len(ann.alive), len(ann.ended), ann.slots, ann.running, ann.releases) == (1, 1, 4, 1, ("1.0",))
    assert (len(zed.alive), zed.losses and zed.losses.attempts) == (1, 2)
    assert (burst.ended, burst.slots, burst.releases) == ((new, old), 0, ("0.9",))
    assert (gone.newest, gone.releases) == (None, ())
