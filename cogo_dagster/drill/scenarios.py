"""The scenarios of a drill, and the checks after them."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from cogo_dagster.drill.lost_replies import lose_replies
from cogo_dagster.drill.observation import Observation
from cogo_dagster.drill.scratch import DrillFailed, Scratch
from cogo_dagster.drill.site import HeldSite, held_site
from cogo_dagster.queue.artifacts import ArtifactStoreError, FolderStore
from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, JobError, NewJob, Outcome, Settlement
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import JobRow

_TIMEOUT_SECONDS: Final = 90.0
_LEASE_SECONDS: Final = 5
_PAGE_JOBS: Final = 2
_CHUNK_BYTES: Final = 1_048_576
_REMOVED_VARIABLES: Final = ("COGO_", "SUPABASE_", "BROWSER_", "WEBHOOK_", "EXECUTOR_ID", "MAX_JOBS", "WORKER_")


def drill(queue: Queue, place: Scratch, report: Callable[[str], None]) -> list[Observation]:
    """Run all scenarios and return the observations.

    Args:
        queue: Queue of the scratch database.
        place: The scratch database and its folder.
        report: Called with a message before each scenario.

    Raises:
        DrillFailed: A worker did not start, or a scenario timed out.
    """
    report("A worker is killed with SIGKILL while it executes jobs; another worker recovers them …")
    observations = [*_kill_worker(queue, place)]
    report("A lease expires while its worker is suspended …")
    observations += _expire_lease(queue)
    report("A dead-lettered job is replayed twice …")
    observations += _replay_twice(queue)
    report("Replies of the database are lost after the commit …")
    observations.append(lose_replies(queue, place.dsn, place.home))
    return [*observations, *_invariants(queue, FolderStore(place.home / "artifacts"))]


def _kill_worker(queue: Queue, place: Scratch) -> Iterator[Observation]:
    with held_site() as site:
        jobs = queue.enqueue([NewJob("browser", {"url": f"{site.url}/{n}"}) for n in range(_PAGE_JOBS)])
        ids = [job.job_id for job in jobs]
        with _worker(place, site, "drill-first") as first:
            if not site.wait_for_requests(_PAGE_JOBS, _TIMEOUT_SECONDS):
                raise DrillFailed(
                    f"The worker did not execute its jobs; last line of its log: {_log(place, 'drill-first')}"
                )
            first.kill()
            first.wait()
        site.opened.set()
        with _worker(place, site, "drill-second", MAX_JOBS=str(_PAGE_JOBS)) as second:
            try:
                code = second.wait(_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                raise DrillFailed(
                    f"The second worker did not exit; last line of its log: {_log(place, 'drill-second')}"
                ) from None
    rows = queue.get_jobs(ids)
    done = [row for row in rows if row.status == "succeeded"]
    yield Observation(
        "nothing_is_lost",
        len(done) == _PAGE_JOBS and code == 0,
        f"A worker was killed while executing {_PAGE_JOBS} jobs; another worker finished {len(done)} of them.",
    )
    attempts = [row.attempts for row in rows]
    yield Observation(
        "a_crash_consumes_an_attempt",
        attempts == [2] * _PAGE_JOBS,
        f"The jobs have {attempts} attempts: one was lost, one succeeded.",
    )


def _expire_lease(queue: Queue) -> Iterator[Observation]:
    job_id = queue.enqueue([NewJob("drill")])[0].job_id
    stale = _claimed(queue, job_id, lease_seconds=1)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not queue.recover().changed:
        if time.monotonic() > deadline:
            raise DrillFailed("A lease of one second did not expire: check the clock of the database.")
        time.sleep(0.1)
    fresh = _claimed(queue, job_id, lease_seconds=60)
    renewed = queue.renew([stale], 60)[0]
    [late] = queue.settle([Settlement(stale, Outcome.SUCCEEDED, {"by": "stale"})])
    [good] = queue.settle([Settlement(fresh, Outcome.SUCCEEDED, {"by": "fresh"})])
    [row] = queue.get_jobs([job_id])
    yield Observation(
        "a_stale_worker_is_refused",
        (late.status, renewed, good.status, row.result) == ("lease_lost", "lease_lost", "ok", {"by": "fresh"}),
        f"The stale worker received {renewed} and {late.status}; the job has the result of the newer attempt.",
    )


def _replay_twice(queue: Queue) -> Iterator[Observation]:
    job_id = queue.enqueue([NewJob("drill", max_attempts=1)])[0].job_id
    job = _claimed(queue, job_id, lease_seconds=60)
    queue.settle([Settlement(job, Outcome.FAILED, error=JobError("drill", "Failed on purpose.", retryable=False))])
    changed = [perform(queue, Operation("replay_dlq", {}), "cogo drill").changed for _ in range(2)]
    keys = [row.idempotency_key for row in queue.list_jobs(max_jobs=1_000)]
    copies = keys.count(f"dlq:{job_id}")
    yield Observation(
        "a_letter_is_replayed_once",
        (changed, copies) == ([1, 0], 1),
        f"The first replay added {changed[0]} job, the second {changed[1]}; jobs added in total: {copies}.",
    )


def _invariants(queue: Queue, store: FolderStore) -> Iterator[Observation]:
    rows = queue.get_jobs([row.id for row in queue.list_jobs(max_jobs=1_000)])
    running = [row.id for row in rows if row.status == "running"]
    yield Observation("nothing_hangs", not running, f"{len(running)} of {len(rows)} jobs are still running.")
    inconsistent = [row.id for row in rows if _is_finished(row) and row.attempts != len(row.superseded_attempts) + 1]
    yield Observation(
        "every_attempt_is_accounted_for",
        not inconsistent,
        f"{len(inconsistent)} of {len(rows)} jobs lack a recorded attempt.",
    )
    artifacts = [artifact for row in rows for artifact in row.artifacts]
    damaged = [artifact.name for artifact in artifacts if not _is_intact(store, artifact)]
    yield Observation(
        "every_artifact_is_there",
        not damaged and bool(artifacts),
        f"{len(damaged)} of {len(artifacts)} artifacts are missing or do not match the recorded hash and size.",
    )


def _is_finished(row: JobRow) -> bool:
    return row.status in ("succeeded", "failed", "cancelled")


def _is_intact(store: FolderStore, artifact: ArtifactRow) -> bool:
    if artifact.storage_key is None:
        return False
    try:
        with store.open(artifact.storage_key) as file:
            digest, size_bytes = hashlib.sha256(), 0
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return (digest.hexdigest(), size_bytes) == (artifact.sha256, artifact.size_bytes)
    except (ArtifactStoreError, OSError):
        return False


def _claimed(queue: Queue, job_id: UUID, lease_seconds: int) -> Job:
    [job] = queue.claim_chosen(uuid4(), [job_id], "drill", lease_seconds)
    return job


@contextmanager
def _worker(place: Scratch, site: HeldSite, name: str, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a worker process on the scratch database, and kill it at the end."""
    variables = {
        "COGO_DATABASE_URL": place.dsn,
        "COGO_HOME": str(place.home),
        "COGO_LEASE_SECONDS": str(_LEASE_SECONDS),
        "BROWSER_REAL_MODE": "false",
        "BROWSER_ALLOWED_HOSTS": site.host,
        "WORKER_ID": name,
    }
    program = "import sys; from cogo_dagster.cli import main; sys.exit(main(['worker']))"
    (place.home / ".env").touch()  # so that the .env of the project is not read
    with (place.home / f"{name}.log").open("wb") as log:
        worker = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-c", program],
            cwd=place.home,
            env=_environment() | variables | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED_VARIABLES)}


def _log(place: Scratch, name: str) -> str:
    lines = Path(place.home / f"{name}.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(empty)"
