"""A fault or a crash before and after each commit and upload of a worker: no job is lost."""

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import Final, cast
from uuid import UUID

import pytest

from cogo_dagster.queue.artifacts import ArtifactStoreUnavailable
from cogo_dagster.queue.client import Queue, leases
from cogo_dagster.queue.errors import TransportError
from cogo_dagster.queue.executor import Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add_all
from cogo_dagster_tests.worker.bench import Bench, eventually, wait_for_calls
from cogo_dagster_tests.worker.executors import FakeExecutor, a_file
from cogo_dagster_tests.worker.fault_points import CALLS, POINTS, RARE_CALLS, at

_UPKEEP: Final = {"lease_seconds": 2, "heartbeat_seconds": 0.1, "recover_seconds": 0.1}
_BESIDE: Final = ("renew_leases", "recover_leases", "record_heartbeat")
_SURVIVED: Final = ("renew_leases", "start_jobs")
"""An exception here ends a thread or a task and not the worker; kills are tested in the chaos runs."""
_RARE: Final = [point for point in POINTS if point.endswith(RARE_CALLS)]
_COMMON: Final = [point for point in POINTS if point not in _RARE]
_IGNORED_CALLS: Final = {"report_stuck_worker"}
"""Called by a worker that ends anyway: a failure has no effect."""
_READS: Final = {"next_due"}
"""Not stable, since it depends on the clock, but writes nothing."""
_TIMEOUT_SECONDS: Final = 20.0
_CONNECTED: Final = (
    "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'cogo'"
)


class Died(BaseException):
    """Simulates the end of the process."""


class Once:
    """Raises at the first call.

    Attributes:
        reached: Number of calls.
    """

    def __init__(self, raised: BaseException) -> None:
        self._raised = raised
        self.reached = 0

    def __call__(self) -> None:
        """Count, and raise the first time."""
        self.reached += 1
        if self.reached == 1:
            raise self._raised


@pytest.fixture
def way() -> str:
    """Use one transport: the fault points are above the transports."""
    return "postgres"


@pytest.fixture
def jobs(queue: Queue) -> list[UUID]:
    """Enqueue more jobs than one claim takes, so that some are prefetched."""
    return add_all(queue, 8)


def executor(point: str, once: Once) -> FakeExecutor:
    """Produce a file; if the point is in a background task, the first job waits until it was reached.

    For `settle_jobs`, which is not called for plain successes, jobs are snoozed until it was reached.
    """

    async def body(job: Job, workspace: Workspace) -> ExecutionResult:
        if point.endswith(" settle_jobs") and not once.reached:
            raise Snooze("The point was not reached.", delay_seconds=0)
        if point.endswith(_BESIDE):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while not once.reached:  # noqa: ASYNC110 - set in another thread
                    await asyncio.sleep(0.02)
        return ExecutionResult({"attempt": job.attempts}, [a_file(workspace)])

    return FakeExecutor(body, prefetch=4)


@pytest.fixture
def whole(owner: Owner, jobs: list[UUID]) -> Callable[[], None]:
    """Return a check that every job has succeeded once, with one file of the successful attempt."""

    def check() -> None:
        rows = owner.execute(
            "select j.status, count(a.id), bool_and(a.lease_token = j.lease_token) from public.jobs j"
            " left join public.artifacts a on a.job_id = j.id and a.status = 'ready' group by j.id"
        ).fetchall()
        assert rows == [("succeeded", 1, True)] * len(jobs)

    return check


@pytest.mark.parametrize("point", _COMMON)
def test_a_fault_at_any_point_fails_no_job(
    bench: Bench, queue: Queue, jobs: list[UUID], whole: Callable[[], None], point: str
) -> None:
    """The connection breaks, or the store is unreachable: every job succeeds at its first attempt."""
    unavailable = point.endswith("upload")
    once = Once(
        ArtifactStoreUnavailable("It is unreachable.") if unavailable else TransportError("The connection broke.")
    )
    with at(point, once):
        report = bench.drain(executor(point, once), concurrency=2, **_UPKEEP)
    assert once.reached
    whole()
    assert {job.document["attempts"] for job in queue.get_jobs(jobs)} == {1}
    assert report.counters["succeeded"] == len(jobs)


@pytest.mark.parametrize("point", [point for point in _COMMON if not point.endswith(_SURVIVED)])
def test_a_crash_at_any_point_costs_at_most_one_attempt(
    bench: Bench, owner: Owner, jobs: list[UUID], whole: Callable[[], None], point: str
) -> None:
    """The worker ends, its leases expire, and another one runs the remaining jobs."""
    once = Once(Died())
    with at(point, once), pytest.raises(Died):
        bench.drain(executor(point, once), concurrency=2, **_UPKEEP)
    wait_for_calls()
    # The server may still execute a call whose connection was closed.
    pool = cast("PostgresTransport", bench.queue.transport)._pool
    eventually(lambda: owner.execute(_CONNECTED).fetchone() == (len(pool._idle),), "the call of the worker has ended")
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 s' where status = 'running'")
    bench.queue.recover()
    bench.drain(executor(point, once), concurrency=2)
    whole()
    assert all(job.document["attempts"] in (1, 2) for job in bench.queue.get_jobs(jobs))


def test_an_unknown_error_blocks_no_prefetched_job(bench: Bench, jobs: list[UUID], whole: Callable[[], None]) -> None:
    """Recording starts is retried after any error, so that waiting jobs run."""
    once = Once(RuntimeError("can't start new thread"))
    with at("before start_jobs", once):
        bench.drain(executor("before start_jobs", once), concurrency=2, **_UPKEEP)
    assert once.reached
    whole()


@pytest.mark.parametrize("point", _RARE)
def test_a_failed_sweep_is_repeated(bench: Bench, owner: Owner, point: str) -> None:
    """The connection breaks: no row of an abandoned artifact remains."""
    owner.execute(
        "insert into public.artifacts (status, name, storage_key, created_at)"
        " values ('orphaned', 'a.txt', 'jobs/a.txt', now() - interval '1 day')"
    )
    once = Once(TransportError("The connection broke."))

    def swept() -> bool:
        return owner.execute("select count(*) from public.artifacts").fetchone() == (0,)

    with at(point, once), bench.running(FakeExecutor(), sweep_seconds=0.1):
        eventually(lambda: once.reached and swept(), "the file was swept")


def test_every_call_that_commits_is_a_fault_point(owner: Owner) -> None:
    """Every SQL function called by the worker's modules is a point, unless it only reads."""
    package = PROJECT_ROOT / "cogo_dagster" / "queue"
    files = [
        *(package / "worker").glob("*.py"),
        package / "artifacts" / "upload.py",
        package / "artifacts" / "sweep.py",
    ]
    named = {name for file in files for name in re.findall(r"queue\.(\w+)", file.read_text())}
    sources = [source for name in sorted(named) for source in _sources(name)]
    called = {name for source in sources for name in re.findall(r'(?:\.call|TypedCall)\(\s*"(\w+)"', source)}
    stable = {name for (name,) in owner.execute("select proname from pg_proc where provolatile <> 'v'").fetchall()}
    assert called - stable - _READS == {*CALLS, *RARE_CALLS} | _IGNORED_CALLS


def _sources(method: str) -> list[str]:
    """Return the source of a method of the client, and of the methods and calls that it uses."""
    if method.endswith("_call"):
        return [inspect.getsource(getattr(leases, method))]
    if not callable(getattr(Queue, method, None)):
        return []
    source = inspect.getsource(getattr(Queue, method))
    called = [name for name in re.findall(r"(?:self\.|= )(\w+)\(", source) if name != method]
    return [source, *(inner for name in called for inner in _sources(name))]


def test_an_unknown_point_is_an_error() -> None:
    """A test with a misspelt point would test nothing."""
    with pytest.raises(KeyError), at("before nothing", lambda: None):
        pass
