"""How many workers are asked for: a table of cases, and what holds in all of them."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.queue.rows.workers import WorkerRow
from cogo_dagster.supervision.capacity import (
    JOBS_PER_WORKER,
    REGISTERED_WORKERS,
    Demand,
    demand,
    is_surplus,
    recovery_needed,
    runnable_families,
    workers_to_start,
)
from cogo_dagster_tests.queue.rows import queue_stats, worker_row

counts = st.integers(min_value=0, max_value=100_000)
few = st.integers(min_value=0, max_value=20)
demands = st.builds(
    Demand,
    ready=counts,
    orphaned=counts,
    workers_alive=few,
    workers_starting=few,
    runs_alive=few,
    slots=few,
    slots_free=few,
    oldest_seconds=st.floats(min_value=0, max_value=1e6),
)


def stats(
    ready: dict[str, int] | None = None, running: dict[str, int] | None = None, *, oldest_seconds: float = 0
) -> QueueStats:
    """Return the queue's numbers as far as they matter here."""
    ready = ready or {}
    return queue_stats(
        ready=sum(ready.values()),
        ready_by_family=ready,
        running_by_instance={_id(name): n for name, n in (running or {}).items()},
        oldest_ready_seconds=oldest_seconds,
    )


def a_worker(
    instance: str, *families: str, run: str | None = None, concurrency: int = 4, running: int = 0
) -> WorkerRow:
    """Return a living worker."""
    return worker_row(
        instance_id=UUID(_id(instance)),
        families=list(families or ("browser",)),
        dagster_run_id=run,
        concurrency=concurrency,
        running=running,
    )


def _id(instance: str) -> str:
    """Return the id of a worker start by its name here; "" is none."""
    return str(uuid5(NAMESPACE_URL, instance)) if instance else ""


@pytest.mark.parametrize(
    ("ready", "orphaned", "alive", "starting", "max_workers", "expected"),
    [
        (0, 0, 0, 0, 2, 0),
        (1, 0, 0, 0, 2, 1),
        (1, 0, 1, 0, 2, 0),
        (1, 0, 0, 1, 2, 0),
        (0, 1, 0, 0, 2, 1),
        (0, 1, 1, 0, 2, 0),
        (JOBS_PER_WORKER, 0, 1, 0, 2, 0),
        (JOBS_PER_WORKER + 1, 0, 1, 0, 2, 1),
        (JOBS_PER_WORKER + 1, 0, 1, 1, 2, 0),
        (100 * JOBS_PER_WORKER, 0, 0, 0, 10, 1),
        (100 * JOBS_PER_WORKER, 0, 9, 0, 10, 1),
        (100 * JOBS_PER_WORKER, 0, 10, 0, 10, 0),
        (1, 0, 12, 3, 2, 0),
    ],
)
def test_workers_to_start(
    ready: int,
    orphaned: int,
    alive: int,
    *,
    starting: int,
    max_workers: int,
    expected: int,
) -> None:
    """One worker per 200 due jobs, one for orphans, none beyond the maximum, one launch at a time."""
    assert workers_to_start(Demand(ready, orphaned, alive, starting), max_workers) == expected


@given(demands, st.integers(min_value=1, max_value=100))
def test_never_more_than_the_maximum_and_one_at_a_time(found: Demand, max_workers: int) -> None:
    """Whatever waits, a launch never takes the number of workers above the maximum."""
    started = workers_to_start(found, max_workers)
    assert started in {0, 1}
    assert not started or found.workers_alive + found.workers_starting + started <= max_workers
    assert not started or found.runs_alive + found.workers_starting + started <= max_workers


@given(demands, st.integers(min_value=1, max_value=100))
def test_nothing_waits_without_a_worker(found: Demand, max_workers: int) -> None:
    """Where jobs wait and nobody is there or coming, one is started; where nothing waits, none is."""
    waits = found.ready or found.orphaned
    nobody = not found.workers_alive and not found.workers_starting and found.runs_alive < max_workers
    if not waits:
        assert workers_to_start(found, max_workers) == 0
    elif nobody:
        assert workers_to_start(found, max_workers) == 1


def test_a_family_nobody_can_run_asks_for_no_worker() -> None:
    """Jobs that no executor here runs would make one worker after another wait in vain."""
    found = demand(stats({"figma": 50}), {"browser"}, [], [], 0)
    assert (found.ready, workers_to_start(found, 2)) == (0, 0)


def test_workers_of_another_family_do_not_count() -> None:
    """A browser job is not served by a worker for gates only."""
    found = demand(stats({"browser": 1}), {"browser", "gate"}, [a_worker("a", "gate"), a_worker("b")], [], 0)
    assert (found.ready, found.workers_alive) == (1, 1)


def test_the_worker_of_an_ended_run_is_gone() -> None:
    """Its heartbeat is fresh, but its run has ended: its jobs are orphans and it serves nobody."""
    workers = [a_worker("dead", run="ended"), a_worker("well", run="going")]
    found = demand(stats({"browser": 1}, {"dead": 2, "well": 3}), {"browser"}, workers, {"ended"}, 0)
    assert (found.orphaned, found.workers_alive) == (2, 1)


def test_jobs_claimed_without_an_instance_are_no_orphans() -> None:
    """A worker of the old kind claims by itself and sends no heartbeat: its leases tell when it is gone."""
    assert demand(stats(running={"": 4}), {"browser"}, [], [], 0).orphaned == 0


@given(demands, counts)
def test_recovery_is_needed_when_nobody_sees_to_it(found: Demand, expired: int) -> None:
    """Expired leases are recovered by workers; apart only where none is there or coming."""
    alone = not found.workers_alive and not found.workers_starting
    assert recovery_needed(found, expired) is (expired > 0 and alone)


@pytest.mark.parametrize(
    ("ready", "oldest_seconds", "running", "expected"),
    [(56, 40, 4, 1), (56, 5, 4, 0), (56, 40, 2, 0), (56, 130, 2, 1), (1, 40, 4, 1)],
    ids=["slots are full", "it came just now", "slots are free", "nobody takes it", "one job"],
)
def test_slow_jobs_start_a_second_worker(ready: int, oldest_seconds: float, running: int, expected: int) -> None:
    """Sixty jobs of 20 s on four slots take five minutes: their number is small, but they wait."""
    workers = [a_worker("a", running=running)]
    found = demand(stats({"browser": ready}, oldest_seconds=oldest_seconds), {"browser"}, workers, [], 0)
    assert workers_to_start(found, 4) == expected


@pytest.mark.parametrize(("ready", "expected"), [(7, 0), (8, 1)])
def test_an_old_job_that_nobody_runs_is_no_wait_of_the_others(ready: int, expected: int) -> None:
    """The age is one number for all families: with a foreign job among them two rounds of jobs count instead."""
    workers = [a_worker("a", running=4)]
    found = demand(stats({"browser": ready, "figma": 1}, oldest_seconds=9_000), {"browser"}, workers, [], 0)
    assert workers_to_start(found, 4) == expected


def test_runs_that_cannot_do_what_waits_fill_the_maximum_too() -> None:
    """Four runs of another family are alive: a fifth would be one more than COGO_MAX_WORKERS."""
    workers = [a_worker(str(n), "gate", run=f"run {n}") for n in range(4)]
    found = demand(stats({"browser": 1}), {"browser"}, workers, [], 0)
    assert (found.workers_alive, found.runs_alive) == (0, 4)
    assert workers_to_start(found, 4) == 0
    assert workers_to_start(found, 5) == 1


def test_what_workers_register_tells_what_a_new_one_could_run() -> None:
    """The workers' settings count, and not those of the process that decides; without workers its own do."""
    assert runnable_families({"browser", "figma"}, [["browser"]]) == {"browser"}
    assert runnable_families({"browser"}, [["browser"], ["browser", "figma"]]) == {"browser", "figma"}
    assert runnable_families({"browser"}, []) == {"browser"}


def test_old_workers_tell_nothing() -> None:
    """Only the newest are asked: a machine that lost its token is not asked for ever."""
    registered = [["browser"]] * REGISTERED_WORKERS + [["figma"]]
    assert runnable_families({"figma"}, registered) == {"browser"}


@given(st.lists(st.uuids().map(str), unique=True, max_size=20), st.integers(min_value=1, max_value=10))
def test_of_runs_that_begin_together_the_oldest_stay(runs: list[str], max_workers: int) -> None:
    """Each decides for itself, and all decide alike: as many stay as there may be, and no fewer."""
    stay = [run for run in runs if not is_surplus(run, runs, max_workers)]
    assert stay == runs[:max_workers]


def test_a_run_that_nobody_lists_is_the_newest() -> None:
    """Dagster's storage may be a moment behind."""
    assert is_surplus("new", ["a", "b"], 2)
    assert not is_surplus("new", ["a"], 2)
