"""For the tests of executors: one job through an executor, without a database and without a worker process."""

import asyncio
import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final
from uuid import uuid4

from cogo_dagster.queue.artifacts import ArtifactNotFound, ArtifactStore, ArtifactStoreError, StoredObject
from cogo_dagster.queue.artifacts.files import LocalFile, checked_artifacts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Executor, ExecutorContext
from cogo_dagster.queue.model import Job, JobError, Json, Outcome, Settlement
from cogo_dagster.queue.transports.base import NoDatabase
from cogo_dagster.queue.worker.attempt import run_attempt
from cogo_dagster.queue.worker.upload import without_artifacts
from cogo_dagster.queue.workspace import Workspace
from cogo_dagster.settings import Settings, load_settings

__all__ = ["InMemoryStore", "JobError", "Outcome", "RunOutcome", "run_job"]

_LEASE: Final = uuid4()


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How one attempt ended, as the worker would settle it.

    Attributes:
        outcome: `succeeded`, `failed`, `snoozed` or `requeued`.
        result: Of a success.
        error: Why it failed or was put off; `error.retryable` says whether a failure is tried again.
        delay_seconds: The wait that a failure or a snooze asks for.
        run_seconds: How long `execute` ran.
        artifacts: The files it left, whole, by name.
    """

    outcome: Outcome
    result: Json
    error: JobError | None
    delay_seconds: float | None
    run_seconds: float
    artifacts: Mapping[str, bytes]


def run_job(
    executor: Executor | type[Executor],
    payload: Mapping[str, Json],
    *,
    type: str | None = None,
    attempt: int = 1,
    max_attempts: int = 5,
    timeout_seconds: float | None = None,
    settings: Settings | None = None,
) -> RunOutcome:
    """Run one attempt of one job: check the payload as at enqueue, start, execute, take the files, stop.

    Endings are judged by the worker's own code: whatever the executor returns or raises becomes the outcome that it
    becomes in production. Only what the database decides is left out, such as the status after a failure. Deadlines are
    the executor's own; the worker's, which is ten seconds later, is not kept.

    Args:
        executor: A class is built with a context without a database.
        type: The job's; the executor's family by default.
        settings: The environment's by default.

    Raises:
        InvalidPayload: The payload would not be enqueued.
        ExecutorUnavailable: The executor cannot start.
    """
    chosen = settings or load_settings()
    store = InMemoryStore()
    context = ExecutorContext(chosen, Queue(NoDatabase()), store)
    built = executor if isinstance(executor, Executor) else executor.build(context)
    name = type or built.family
    stored = json.loads(json.dumps(built.validate(name, payload, chosen)))
    job: Job = Job(uuid4(), name, stored, attempt, max_attempts, _LEASE, timeout_seconds=timeout_seconds)
    return asyncio.run(_run(built, job, store, chosen.secret_values()))


async def _run(executor: Executor, job: Job, store: "InMemoryStore", secrets: Sequence[str]) -> RunOutcome:
    workspace = Workspace()
    try:
        await executor.start()
        settlement = await run_attempt(executor, job, workspace, secrets)
        settlement, artifacts = await asyncio.to_thread(_uploaded, settlement, workspace, store, secrets)
    finally:
        await executor.stop()
        workspace.remove()
    return RunOutcome(
        settlement.outcome,
        settlement.result,
        settlement.error,
        settlement.delay_seconds,
        settlement.run_seconds or 0.0,
        artifacts,
    )


def _uploaded(
    settlement: Settlement, workspace: Workspace, store: "InMemoryStore", secrets: Sequence[str]
) -> tuple[Settlement, dict[str, bytes]]:
    """Take the files as an upload does; return what is settled, and the files."""
    artifacts: dict[str, bytes] = {}
    try:
        for one in checked_artifacts(settlement.artifacts, workspace.folder if workspace.used else None):
            key = f"{len(artifacts)}/{one.file.name}"
            store.put(key, one.local, one.file.content_type)
            artifacts[one.file.name] = store.open(key).read()
    except ArtifactStoreError as error:
        return without_artifacts(settlement, error, secrets), {}
    return settlement, artifacts


class InMemoryStore(ArtifactStore):
    """Artifacts in this process's memory, for tests of what reads and writes them."""

    def __init__(self) -> None:
        super().__init__(_MemoryObjects())


@dataclass(frozen=True, slots=True)
class _Kept:
    content: bytes
    stored_at: float


class _MemoryObjects:
    """Objects in a dictionary; see `ObjectStore`."""

    where = "The store in memory"

    def __init__(self) -> None:
        self._objects: dict[str, _Kept] = {}

    def close(self) -> None:
        """There is nothing to close."""

    def check(self) -> None:
        """It always takes files."""

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:  # noqa: ARG002 - the row keeps the type
        """Keep a copy."""
        content = b"".join(file.chunks())
        self._objects[name] = _Kept(content, time.time())
        return StoredObject(len(content), hashlib.sha256(content).hexdigest())

    def open(self, name: str) -> BinaryIO:
        """Return the content as a file."""
        if name not in self._objects:
            raise ArtifactNotFound(f"The artifact {name} cannot be read: it is not in the store in memory.")
        return io.BytesIO(self._objects[name].content)

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Forget objects."""
        for name in names:
            self._objects.pop(name, None)
        return {}

    def address(self, names: Sequence[str]) -> str:
        """Return an address that says where it is."""
        return f"memory:{next((name for name in names if name in self._objects), names[0])}"

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:  # noqa: ARG002
        """Return None: nothing outside of this process reaches it."""
        return None

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """Yield the names that begin so, of objects stored so long ago."""
        before = time.time() - older_than_seconds
        yield from [name for name, kept in self._objects.items() if name.startswith(prefix) and kept.stored_at < before]

    def read_marker(self, name: str) -> bytes | None:
        """Return an object's content."""
        return self._objects[name].content if name in self._objects else None

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Keep a small object."""
        if name in self._objects and not replace:
            return False
        self._objects[name] = _Kept(content, time.time())
        return True
