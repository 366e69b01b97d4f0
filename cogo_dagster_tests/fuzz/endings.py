"""What executors may raise, return or write: each ending is an outcome of its own job and affects no other."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID, uuid4

import psycopg
from hypothesis import strategies as st

from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Snooze, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, NewJob, Outcome
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker.attempt import run_attempt
from cogo_dagster_tests.fuzz.strategies import TEXTS, documents
from cogo_dagster_tests.fuzz.trial import Trial
from cogo_dagster_tests.worker.bench import Bench
from cogo_dagster_tests.worker.executors import FakeExecutor, a_file

_AT_ONCE: Final = 20
_WRONG: Final = (
    *(ValueError, KeyError, MemoryError, OSError, RecursionError, StopIteration, GeneratorExit, SystemExit),
    *(KeyboardInterrupt, asyncio.CancelledError, BaseException),
)


def endings() -> st.SearchStrategy[Any]:
    """Return a strategy for what an executor may raise or return."""
    anything = documents()
    paths = st.one_of(anything, TEXTS.map(Path))
    files = st.builds(ArtifactFile, anything, anything, paths)
    return st.one_of(
        anything,
        st.builds(ExecutionResult, anything, st.one_of(anything, st.lists(files, max_size=2))),
        st.builds(
            lambda text, name, delay, again: ExecutionFailed(
                text, error_class=name, retryable=again, delay_seconds=delay, detail=text
            ),
            *(anything, anything, anything, anything),
        ),
        st.builds(lambda reason, delay: Snooze(reason, delay_seconds=delay), anything, anything),
        st.builds(lambda kind, text: kind(text), st.sampled_from(_WRONG), TEXTS),
    )


def outcomes(trial: Trial) -> None:
    """Whatever an executor returns or raises, there is a settlement, and all but its result is JSON."""

    def check(ending: Any) -> None:
        async def body(job: Job, workspace: Workspace) -> ExecutionResult:
            if isinstance(ending, BaseException):
                raise ending
            return cast("ExecutionResult", ending)

        ended = asyncio.run(run_attempt(FakeExecutor(body), _job(), Workspace()))
        document = ended.to_json()
        assert document["outcome"] in set(Outcome)
        json.dumps({name: value for name, value in document.items() if name != "result"}, allow_nan=False)

    trial.each(endings(), check)


def settled_endings(trial: Trial) -> None:
    """A worker settles each job with one outcome, keeps only the files of successes, and continues."""
    folder = trial.surroundings.folder / "endings"
    folder.mkdir()
    with _bench(trial.surroundings.dsn, folder) as (bench, owner):

        def check(several: list[Any]) -> None:
            owner.execute("delete from public.jobs; delete from public.jobs_dlq; delete from public.artifacts")
            jobs = [made.job_id for made in bench.queue.enqueue([NewJob("browser", max_attempts=1)] * len(several))]
            bench.drain(FakeExecutor(_Bodies(dict(zip(jobs, several, strict=True)))), concurrency=4)
            _assert_whole(owner)

        trial.each(st.lists(endings(), min_size=_AT_ONCE, max_size=_AT_ONCE), check, weight=len)


class _Bodies:
    """Ends a job as given at the first attempt; with a success after that, so that a snooze ends."""

    def __init__(self, by_job: dict[UUID, Any]) -> None:
        self._by_job = by_job

    async def __call__(self, job: Job, workspace: Workspace) -> ExecutionResult:
        ending = self._by_job.pop(job.id, None)
        if isinstance(ending, BaseException):
            raise ending
        if ending is None:
            return ExecutionResult({}, [a_file(workspace)])
        return cast("ExecutionResult", ending)


def _assert_whole(owner: psycopg.Connection) -> None:
    counts = owner.execute(
        "select count(*) filter (where status = 'running' or lease_expires_at is not null),"
        " count(*) filter (where status = 'queued' and next_run_at <= clock_timestamp()),"
        " count(*) filter (where status = 'failed' and (error ->> 'class') is null),"
        " count(*) filter (where status = 'failed') - (select count(*) from public.jobs_dlq where closed_at is null),"
        " (select count(*) from public.artifacts a left join public.jobs o on o.id = a.job_id"
        "  where a.status = 'ready' and o.status is distinct from 'succeeded')"
        " from public.jobs"
    ).fetchone()
    assert counts == (0, 0, 0, 0, 0), counts


@contextmanager
def _bench(dsn: str, folder: Path) -> Iterator[tuple[Bench, "psycopg.Connection[Any]"]]:
    transport = PostgresTransport(dsn, role="service_role")
    try:
        with psycopg.connect(dsn, autocommit=True) as owner:
            yield Bench(Queue(transport), FolderStore(folder)), owner
    finally:
        transport.close()


def _job() -> Job:
    row = {
        "id": str(uuid4()),
        "type": "browser",
        "payload": {},
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
