"""Number of workers to start: examples and properties."""

from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.queue.rows.stats import QueueStats
from cogo_dagster.queue.rows.workers import RegisteredFamily, WorkerRow
from cogo_dagster.supervision.capacity import (
    JOBS_PER_WORKER,
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
    """Return statistics of the queue with the values that matter here."""
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
    """Return a live worker."""
    return worker_row(
        instance_id=UUID(_id(instance)),
        families=list(families or ("browser",)),
        dagster_run_id=run,
        concurrency=concurrency,
        running=running,
    )


def _id(instance: str) -> str:
    """Return the instance ID for a name; "" is none."""
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
    """There is one worker per 200 due jobs, one for orphaned jobs, at most the maximum, and one launch at a time."""
    assert workers_to_start(Demand(ready, orphaned, alive, starting), max_workers) == expected


@given(demands, st.integers(min_value=1, max_value=100))
def test_never_more_than_the_maximum_and_one_at_a_time(found: Demand, max_workers: int) -> None:
    """A launch never exceeds the maximum number of workers."""
    started = workers_to_start(found, max_workers)
    assert started in {0, 1}
    assert not started or found.workers_alive + found.workers_starting + started <= max_workers
    assert not started or found.runs_alive + found.workers_starting + started <= max_workers


@given(demands, st.integers(min_value=1, max_value=100))
def test_a_worker_is_started_if_jobs_wait(found: Demand, max_workers: int) -> None:
    """One is started if jobs wait and no worker is alive or starting, and none if no job waits."""
    waits = found.ready or found.orphaned
    no_worker = not found.workers_alive and not found.workers_starting and found.runs_alive < max_workers
    if not waits:
        assert workers_to_start(found, max_workers) == 0
    elif no_worker:
        assert workers_to_start(found, max_workers) == 1


def test_jobs_of_unknown_families_start_no_worker() -> None:
    """Jobs that no executor can run would start one idle worker after another."""
    found = demand(stats({"figma": 50}), {"browser"}, [], [], 0)
    assert (found.ready, workers_to_start(found, 2)) == (0, 0)


def test_workers_of_another_family_do_not_count() -> None:
    """A worker for gate jobs only does not serve browser jobs."""
    found = demand(stats({"browser": 1}), {"browser", "gate"}, [a_worker("a", "gate"), a_worker("b")], [], 0)
    assert (found.ready, found.workers_alive) == (1, 1)


def test_the_worker_of_a_finished_run_is_dead() -> None:
    """Its jobs are orphaned and it serves no job, despite its recent heartbeat."""
    workers = [a_worker("dead", run="ended"), a_worker("well", run="going")]
    found = demand(stats({"browser": 1}, {"dead": 2, "well": 3}), {"browser"}, workers, {"ended"}, 0)
    assert (found.orphaned, found.workers_alive) == (2, 1)


def test_jobs_claimed_without_an_instance_are_not_orphaned() -> None:
    """Clients that claim without an instance ID send no heartbeats; their leases expire."""
    assert demand(stats(running={"": 4}), {"browser"}, [], [], 0).orphaned == 0


@given(demands, counts)
def test_recovery_is_needed_without_workers(found: Demand, expired: int) -> None:
    """Workers recover expired leases; a separate run is needed only if none is alive or starting."""
    alone = not found.workers_alive and not found.workers_starting
    assert recovery_needed(found, expired) is (expired > 0 and alone)


@pytest.mark.parametrize(
    ("ready", "oldest_seconds", "running", "expected"),
    [(56, 40, 4, 1), (56, 5, 4, 0), (56, 40, 2, 0), (56, 130, 2, 1), (1, 40, 4, 1)],
    ids=["slots busy", "just due", "slots free", "not claimed", "one job"],
)
def test_slow_jobs_start_a_second_worker(ready: int, oldest_seconds: float, running: int, expected: int) -> None:
    """Sixty jobs of 20 s on four slots take five minutes: they are few, but they wait."""
    workers = [a_worker("a", running=running)]
    found = demand(stats({"browser": ready}, oldest_seconds=oldest_seconds), {"browser"}, workers, [], 0)
    assert workers_to_start(found, 4) == expected


@pytest.mark.parametrize(("ready", "expected"), [(7, 0), (8, 1)])
def test_an_old_job_of_an_unknown_family_is_ignored(ready: int, expected: int) -> None:
    """The age covers all families; with a job of an unknown family, twice as many jobs as slots count instead."""
    workers = [a_worker("a", running=4)]
    found = demand(stats({"browser": ready, "figma": 1}, oldest_seconds=9_000), {"browser"}, workers, [], 0)
    assert workers_to_start(found, 4) == expected


def test_runs_of_other_families_count_towards_the_maximum() -> None:
    """With four live runs of another family a fifth would exceed COGO_MAX_WORKERS."""
    workers = [a_worker(str(n), "gate", run=f"run {n}") for n in range(4)]
    found = demand(stats({"browser": 1}), {"browser"}, workers, [], 0)
    assert (found.workers_alive, found.runs_alive) == (0, 4)
    assert workers_to_start(found, 4) == 0
    assert workers_to_start(found, 5) == 1


def registered(**families: tuple[float, int]) -> list[RegisteredFamily]:
    """Return registered families with the seconds since the last registration, and the number of newer ones."""
    return [RegisteredFamily(family=name, seconds=seconds, newer=n) for name, (seconds, n) in families.items()]


def test_registered_families_take_precedence() -> None:
    """The families of the settings of this process are used only if no worker has registered."""
    assert runnable_families({"browser", "figma"}, registered(browser=(5, 0))) == {"browser"}
    assert runnable_families({"browser"}, registered(browser=(5, 0), figma=(60, 4))) == {"browser", "figma"}
    assert runnable_families({"browser"}, []) == {"browser"}


@pytest.mark.parametrize("since_last", [5, 599])
def test_a_family_that_the_newest_workers_lack_waits(since_last: float) -> None:
    """Run after run without the family would be launched for one of its jobs, on a machine without a token."""
    assert runnable_families({"figma"}, registered(browser=(since_last, 0), figma=(86_400, 5))) == {"browser"}


def test_a_family_of_another_machine_is_tried_again() -> None:
    """If one machine of ten has the token, five workers in a row may lack it."""
    found = registered(browser=(600, 0), figma=(86_400, 40))
    assert runnable_families(set(), found) == {"browser", "figma"}


@given(st.lists(st.uuids().map(str), unique=True, max_size=20), st.integers(min_value=1, max_value=10))
def test_the_oldest_runs_stay(runs: list[str], max_workers: int) -> None:
    """Runs that start together decide consistently: exactly the maximum number stays."""
    stay = [run for run in runs if not is_surplus(run, runs, max_workers)]
    assert stay == runs[:max_workers]


def test_an_unlisted_run_is_the_newest() -> None:
    """The storage of Dagster may lag behind."""
    assert is_surplus("new", ["a", "b"], 2)
    assert not is_surplus("new", ["a"], 2)
