"""Which runs are taken for dead: silence that lasts while the database answers, and nothing else."""

from dataclasses import replace

import pytest

from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.supervision.zombies import LONGEST_GAP_SECONDS, Watch, WorkerRun, worker_run
from cogo_dagster_tests.queue.rows import worker_row

SILENT = WorkerRun("run", 600, "2026-11-27T08:00:00+00:00")
WELL = replace(SILENT, alive=True)


def looks(runs: list[WorkerRun], seconds: list[float], watch: Watch | None = None) -> list[float]:
    """Look at these times; return when the first run was found dead."""
    watch = watch or Watch()
    found = []
    for run, at in zip(runs, seconds, strict=True):
        watch, dead = Watch.from_text(watch.to_text()).look([run], 1_000_000 + at)
        found += [at for one in dead if one.run_id == "run"]
    return found


def test_a_worker_that_stays_silent_is_dead_after_three_heartbeats() -> None:
    """Of the database's answers, from the first one that finds it silent."""
    assert looks([SILENT] * 5, [0, 10, 20, 30, 40]) == [30, 40]


def test_a_heartbeat_in_between_begins_anew() -> None:
    """It was cut off for a while."""
    assert looks([SILENT, SILENT, WELL, SILENT, SILENT], [0, 10, 20, 30, 40]) == []
    later = replace(SILENT, last_heartbeat_at="2026-11-27T08:00:25+00:00")
    assert looks([SILENT, SILENT, SILENT, later, later], [0, 10, 20, 30, 40]) == []


def test_an_outage_of_the_database_fails_no_healthy_run() -> None:
    """While it was away nobody looked, and no heartbeat could arrive: what was seen before says nothing."""
    gap = LONGEST_GAP_SECONDS + 1
    assert looks([SILENT] * 4, [0, 10, 10 + gap, 20 + gap]) == []
    assert looks([WELL, SILENT, WELL], [0, 300, 310]) == []


def test_many_looks_at_once_are_one_answer() -> None:
    """Ticks that pile up do not make a run older."""
    assert looks([SILENT] * 6, [0, 1, 2, 3, 4, 5]) == []


@pytest.mark.parametrize(
    ("run", "dead_after"),
    [
        (replace(SILENT, heartbeat_seconds=20), 60),
        (replace(SILENT, stopped=True), 120),
        (WorkerRun("run", 900), 30),
    ],
    ids=["a slower heartbeat", "it signed off", "it never registered"],
)
def test_patience_fits_what_is_awaited(run: WorkerRun, dead_after: float) -> None:
    """Three heartbeats of its own; two minutes to end after the goodbye; a quarter of an hour to register at all."""
    seconds = [float(second) for second in range(0, 200, 10)]
    assert looks([run] * len(seconds), seconds)[0] == dead_after


def test_a_run_that_begins_is_not_silent() -> None:
    """Its worker registers once its executors have started, which may have to install a browser."""
    assert looks([WorkerRun("run", 800)] * 9, [float(second) for second in range(0, 90, 10)]) == []


@pytest.mark.parametrize(
    "text", [None, "", "7", "null", '{"looked_at": 1}', '{"silences": {"a": [1]}, "looked_at": 1}']
)
def test_a_cursor_that_cannot_be_read_is_a_first_look(text: str | None) -> None:
    """Somebody may have set it by hand, or an older release."""
    assert Watch.from_text(text) == Watch()


def test_the_newest_worker_of_a_run_speaks_for_it() -> None:
    """A run may have registered twice; workers of other runs are nothing to it."""

    def row(run: str, started_at: str, *, alive: bool) -> WorkerRow:
        return worker_row(dagster_run_id=run, started_at=started_at, last_heartbeat_at=started_at, alive=alive)

    rows = [row("run", "2026-11-27T08:00", alive=False), row("run", "2026-11-27T09:00", alive=True)]
    assert worker_run("run", 1, [*rows, row("other", "2026-11-27T10:00", alive=False)]).alive
    assert worker_run("third", 1, rows) == WorkerRun("third", 1)
