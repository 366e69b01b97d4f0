"""Detection of dead runs: missing heartbeats while the database responds."""

from dataclasses import replace

import pytest

from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.supervision.zombies import MAX_GAP_SECONDS, Watch, WorkerRun, worker_run
from cogo_dagster_tests.queue.rows import worker_row

SILENT = WorkerRun("run", 600, "2026-11-27T08:00:00+00:00")
ALIVE = replace(SILENT, alive=True)


def observe(runs: list[WorkerRun], seconds: list[float], watch: Watch | None = None) -> list[float]:
    """Add observations at these times, and return the times at which the run was dead."""
    watch = watch or Watch()
    found = []
    for run, at in zip(runs, seconds, strict=True):
        watch, dead = Watch.from_text(watch.to_text()).observe([run], 1_000_000 + at)
        found += [at for one in dead if one.run_id == "run"]
    return found


def test_a_silent_worker_is_dead_after_three_heartbeats() -> None:
    """Heartbeat intervals count from the first observation of the silence."""
    assert observe([SILENT] * 5, [0, 10, 20, 30, 40]) == [30, 40]


def test_a_heartbeat_ends_the_silence() -> None:
    """A worker that was disconnected for a while is not dead."""
    assert observe([SILENT, SILENT, ALIVE, SILENT, SILENT], [0, 10, 20, 30, 40]) == []
    later = replace(SILENT, last_heartbeat_at="2026-11-27T08:00:25+00:00")
    assert observe([SILENT, SILENT, SILENT, later, later], [0, 10, 20, 30, 40]) == []


def test_an_outage_of_the_database_does_not_fail_a_run() -> None:
    """Observations before a gap are dropped, because no heartbeat could arrive."""
    gap = MAX_GAP_SECONDS + 1
    assert observe([SILENT] * 4, [0, 10, 10 + gap, 20 + gap]) == []
    assert observe([ALIVE, SILENT, ALIVE], [0, 300, 310]) == []


def test_observations_at_once_count_as_one() -> None:
    """Delayed ticks of the sensor do not age a run."""
    assert observe([SILENT] * 6, [0, 1, 2, 3, 4, 5]) == []


@pytest.mark.parametrize(
    ("run", "dead_after"),
    [
        (replace(SILENT, heartbeat_seconds=20), 60),
        (replace(SILENT, stopped=True), 120),
        (WorkerRun("run", 900), 30),
    ],
    ids=["slower heartbeat", "deregistered", "never registered"],
)
def test_the_timeout_depends_on_the_state(run: WorkerRun, dead_after: float) -> None:
    """It is three heartbeats of the worker, two minutes after deregistration, and 15 minutes before registration."""
    seconds = [float(second) for second in range(0, 200, 10)]
    assert observe([run] * len(seconds), seconds)[0] == dead_after


def test_a_starting_run_is_not_silent() -> None:
    """The worker registers after its executors have started, which may include installing a browser."""
    assert observe([WorkerRun("run", 800)] * 9, [float(second) for second in range(0, 90, 10)]) == []


@pytest.mark.parametrize(
    "text", [None, "", "7", "null", '{"looked_at": 1}', '{"silences": {"a": [1]}, "looked_at": 1}']
)
def test_an_invalid_cursor_is_an_empty_state(text: str | None) -> None:
    """It may have been set by hand or by an earlier release."""
    assert Watch.from_text(text) == Watch()


def test_the_newest_worker_of_a_run_counts() -> None:
    """A run may have registered twice; workers of other runs are ignored."""

    def row(run: str, started_at: str, *, alive: bool) -> WorkerRow:
        return worker_row(dagster_run_id=run, started_at=started_at, last_heartbeat_at=started_at, alive=alive)

    rows = [row("run", "2026-11-27T08:00", alive=False), row("run", "2026-11-27T09:00", alive=True)]
    assert worker_run("run", 1, [*rows, row("other", "2026-11-27T10:00", alive=False)]).alive
    assert worker_run("third", 1, rows) == WorkerRun("third", 1)
