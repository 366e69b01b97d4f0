"""The log of a worker."""

import json
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from cogo_dagster.cli.worker_lines import JsonLines
from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.queue.model import Job, JobError, Outcome, Settlement
from cogo_dagster.queue.worker import EventKind, EventObserver, Observer, Stage, WorkerEvent

JOB: Job[Any] = Job(UUID("01936f2e-0000-7000-8000-000000000001"), "browser.pdf", {}, 2, 5, uuid4())
ENDINGS = (
    (Settlement(JOB, Outcome.SUCCEEDED, run_seconds=0.25), "succeeded"),
    (Settlement(JOB, Outcome.SUCCEEDED), "succeeded"),
    (Settlement(JOB, Outcome.SNOOZED, error=JobError("snoozed", 'Not "yet":\n\ttomorrow \x1b[31m')), "queued"),
    (Settlement(JOB, Outcome.FAILED, error=JobError("dns", "no such  host"), run_seconds=1.5), "failed"),
    (Settlement(JOB, Outcome.CANCELLED, run_seconds=2e-05), None),
)


def work(observer: Observer) -> None:
    """Report claims, executions and settlements, as a worker does."""
    observer.claimed([JOB, JOB])
    for settlement, _ in ENDINGS:
        observer.executed(settlement)
    observer.settled(ENDINGS)
    observer.event(WorkerEvent(EventKind.WARNING, Stage.CLAIM, None, {}, "The store is full."))


@pytest.mark.parametrize("as_json", [False, True])
def test_the_frequent_lines_are_those_of_their_events(capfd: pytest.CaptureFixture[str], as_json: bool) -> None:
    """Claims, executions and settlements are formatted in batches, with the same result as one event at a time."""
    log = WorkerLog(as_json=as_json)
    work(log)
    log.flush()
    fast = capfd.readouterr().err.splitlines()
    work(EventObserver(log.event))
    log.flush()
    slow = capfd.readouterr().err.splitlines()
    untimed = [[_without_time(line, as_json) for line in lines] for lines in (fast, slow)]
    assert untimed[0] == untimed[1]
    assert len(fast) == 2 + 2 * len(ENDINGS) + 1


def test_a_type_with_other_characters_is_encoded() -> None:
    """A type that JSON has to escape, which a database of another release may hold, is one line that can be decoded."""
    job: Job[Any] = Job(uuid4(), 'odd "type"\n', {}, 1, 5, uuid4())
    lines = JsonLines()
    attempt = Settlement(job, Outcome.SUCCEEDED, run_seconds=1.0)
    written = (
        lines.claimed("now", [job]) + lines.executed("now", [attempt]) + lines.settled("now", [(attempt, "succeeded")])
    )
    assert [json.loads(line)["type"] for line in written] == [job.type] * 3


@pytest.mark.parametrize("as_json", [False, True])
def test_an_event_that_cannot_be_formatted_does_not_lose_the_others(
    capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Its line says so; the events before and after it are written as usual."""
    log = WorkerLog(as_json=as_json)
    broken = cast("Job[Any]", None)
    log.claimed([JOB, broken, JOB])
    log.flush()
    lines = capfd.readouterr().err.splitlines()
    messages = [json.loads(line)["message"] if as_json else line.split(maxsplit=2)[2] for line in lines]
    claimed = f"Claimed browser.pdf job {JOB.id}, attempt 2."
    assert messages == [claimed, "The event could not be formatted (AttributeError).", claimed]


def _without_time(line: str, as_json: bool) -> object:
    if as_json:
        return {name: value for name, value in json.loads(line).items() if name != "at"}
    return line.partition(" ")[2]
