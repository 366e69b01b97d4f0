"""The log of a worker."""

import json

import pytest

from cogo_dagster.cli.worker_log import WorkerLog
from cogo_dagster.queue.worker import EventKind, Stage, WorkerEvent


@pytest.mark.parametrize("as_json", [False, True])
def test_an_event_that_cannot_be_formatted_does_not_lose_the_others(
    capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Its line says so; the events before and after it are written as usual."""
    good = WorkerEvent(EventKind.WARNING, Stage.CLAIM, None, {}, "The store is full.")
    broken = WorkerEvent(EventKind.EXECUTED, Stage.EXECUTE, None, {}, "")
    log = WorkerLog(as_json=as_json)
    at = 1_795_000_000_000_000_000
    log._events = [(at, good), (at, broken), (at, good)]
    log.flush()
    lines = capfd.readouterr().err.splitlines()
    messages = [json.loads(line)["message"] if as_json else line.split(maxsplit=2)[2] for line in lines]
    assert messages == ["The store is full.", "The event could not be formatted (KeyError).", "The store is full."]
