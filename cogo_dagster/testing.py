"""Helpers for tests of executors: run one job without a database and without a worker process."""

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
    """Outcome of one attempt, as the worker would settle it.

    Attributes:
        outcome: `succeeded`, `failed`, `snoozed` or `requeued`.
        result: Result of a success.
        error: Reason of a failure or snooze; a failure is retried if `error.retryable`.
        delay_seconds: Requested delay before the next attempt.
        run_seconds: Duration of `execute`.
        artifacts: Content of the artifacts by name.
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
    """Run one attempt of one job: validate the payload, start, execute, collect the artifacts, stop.

    Results and exceptions of the executor become outcomes by the same code as in the worker. Decisions of the database
    are not simulated, such as the status after a failure. The timeout is enforced by the executor only, not by the
    worker, which cancels ten seconds later.

    Args:
        executor: An executor, or a class to build with a context without a database.
        payload: Payload of the job.
        type: Type of the job; the family of the executor by default.
        attempt: Number of the attempt, from 1.
        max_attempts: Maximum number of attempts.
        timeout_seconds: Timeout of the job.
        settings: Settings; read from the environment by default.

    Raises:
        InvalidPayload: The payload is rejected by the executor.
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
    """Collect the artifacts as an upload does; return the settlement and the content of the artifacts."""
    artifacts: dict[str, bytes] = {}
    try:
        for artifact in checked_artifacts(settlement.artifacts, workspace.folder if workspace.used else None):
            key = f"{len(artifacts)}/{artifact.file.name}"
            store.put(key, artifact.local, artifact.file.content_type)
            artifacts[artifact.file.name] = store.open(key).read()
    except ArtifactStoreError as error:
        return without_artifacts(settlement, error, secrets), {}
    return settlement, artifacts


class InMemoryStore(ArtifactStore):
    """An artifact store in memory, for tests."""

    def __init__(self) -> None:
        super().__init__(_MemoryObjects())


@dataclass(frozen=True, slots=True)
class _StoredBytes:
    content: bytes
    stored_at: float


class _MemoryObjects:
    """Objects in memory; see `ObjectStore`."""

    where = "The in-memory store"
    redirects_inline = False

    def __init__(self) -> None:
        self._objects: dict[str, _StoredBytes] = {}

    def close(self) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing: the store is always usable."""

    def put(self, name: str, file: LocalFile, content_type: str) -> StoredObject:  # noqa: ARG002 - the type is stored in the row
        """Store a copy."""
        content = b"".join(file.chunks())
        self._objects[name] = _StoredBytes(content, time.time())
        return StoredObject(len(content), hashlib.sha256(content).hexdigest())

    def open(self, name: str) -> BinaryIO:
        """Return the content as a file object."""
        if name not in self._objects:
            raise ArtifactNotFound(f"The artifact {name} cannot be read: it is not in the in-memory store.")
        return io.BytesIO(self._objects[name].content)

    def delete(self, names: Sequence[str]) -> Mapping[str, ArtifactStoreError]:
        """Delete objects."""
        for name in names:
            self._objects.pop(name, None)
        return {}

    def address(self, names: Sequence[str]) -> str:
        """Return a `memory:` address."""
        return f"memory:{next((name for name in names if name in self._objects), names[0])}"

    def signed_url(self, name: str, expires_seconds: int, download_name: str | None) -> str | None:  # noqa: ARG002
        """Return None: the store is not accessible from other processes."""
        return None

    def names(self, prefix: str, older_than_seconds: float) -> Iterator[str]:
        """Yield the names with a prefix of objects older than an age in seconds."""
        before = time.time() - older_than_seconds
        yield from [
            name for name, stored in self._objects.items() if name.startswith(prefix) and stored.stored_at < before
        ]

    def read_marker(self, name: str) -> bytes | None:
        """Return the content of an object, or None."""
        return self._objects[name].content if name in self._objects else None

    def write_marker(self, name: str, content: bytes, *, replace: bool) -> bool:
        """Store a small object; return False if it exists and `replace` is False."""
        if name in self._objects and not replace:
            return False
        self._objects[name] = _StoredBytes(content, time.time())
        return True
