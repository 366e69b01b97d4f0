"""`CogoQueue`: a resource that runs a job of the queue from any asset or op, and waits for its result."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final, Self, TypeAlias
from uuid import UUID

import dagster as dg
from pydantic import PrivateAttr

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.executors.registry import families, validate_payload
from cogo_dagster.formatting.values import counted
from cogo_dagster.links import artifact_content, job_page
from cogo_dagster.queue.errors import DatabaseUnavailable, QueueError
from cogo_dagster.queue.model import Enqueued, Json, NewJob, family_of
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import StoredError, WholeJob
from cogo_dagster.redaction import redact_logs, redactor_of
from cogo_dagster.settings import PROJECT_ROOT, load_settings

Context: TypeAlias = dg.OpExecutionContext | dg.AssetExecutionContext
Metadata: TypeAlias = Mapping[str, dg.MetadataValue[Any]]

_ENDED: Final = ("succeeded", "failed", "cancelled")
_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a job that succeeded.

    Attributes:
        result: Result of the executor.
        metadata: The result, a link to the job and its artifacts by name, for a materialization or an output.
    """

    job_id: UUID
    result: Json
    metadata: Metadata


class CogoQueue(dg.ConfigurableResource[Any]):
    """The queue, for Dagster code outside of this project.

    Workers run the jobs: `cogo worker`, or the Dagster job process_jobs. A waiting run does not occupy a worker.

    Attributes:
        settings: Settings by environment name, which override the environment, such as `{"COGO_DATABASE_URL": "…"}`.
    """

    settings: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it

    _application: Application = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Self]:  # noqa: ARG002
        """Open the queue for the duration of the run."""
        with self.opened():
            yield self

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """Open the queue, in code that has no resources.

        Raises:
            QueueError: The database cannot be reached, or is not migrated.
            SettingsError: A setting is missing or invalid.
        """
        settings = load_settings(PROJECT_ROOT / ".env", **self.settings)
        redact_logs(redactor_of(settings.secret_values()))
        with open_application(settings) as application:
            self._application = application
            yield self

    def run(self, job: NewJob, context: Context, *, timeout_seconds: float = 3_600) -> JobResult:
        """Enqueue a job and wait until it succeeds.

        If the wait ends earlier, because the Dagster run is terminated or the time is up, the job is cancelled, unless
        it was enqueued before, by another caller with the same idempotency key.

        Args:
            context: Context of the op or asset; its log and run are used.
            timeout_seconds: Maximum wait, including the time in the queue and all attempts.

        Raises:
            Failure: The job failed (with the error in the message) or was cancelled, or the time is up.
            InvalidPayload: The payload is invalid; checked if the executor of the type is installed.
            QueueError: The job cannot be enqueued.
        """
        if family_of(job.type) in families():
            validate_payload(job.type, job.payload, self._application.settings)
        [enqueued] = self._application.queue.enqueue([job])
        context.log.info(
            "%s job %s %s.", job.type, enqueued.job_id, "enqueued" if enqueued.created else "already exists"
        )
        try:
            row = self._wait(enqueued.job_id, context, monotonic() + timeout_seconds)
        except BaseException:
            self._cancel(enqueued, context)
            raise
        if row is None:
            self._cancel(enqueued, context)
            raise dg.Failure(
                f"The {job.type} job {enqueued.job_id} did not finish within {timeout_seconds:g} s and was cancelled. "
                "Check that a worker serves its type; `cogo list jobs --why` shows the reason.",
                metadata=self._place(enqueued.job_id),
            )
        if row.status != "succeeded":
            raise dg.Failure(_failure_message(row), metadata=self._place(enqueued.job_id) | _error(row))
        return JobResult(enqueued.job_id, row.result, self._metadata(row))

    def _wait(self, job_id: UUID, context: Context, deadline: float) -> WholeJob | None:
        """Return the job once it has finished; None at the deadline."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                rows = self._application.queue.get_jobs([job_id])
            except DatabaseUnavailable as error:
                context.log.warning("%s The job continues; retrying.", error)
            else:
                if not rows:
                    raise dg.Failure(f"The job {job_id} was purged.")
                if rows[0].status in _ENDED:
                    return rows[0]
            left = deadline - monotonic()
            if left <= 0:
                return None
            sleep(min(pause, left))
            pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)

    def _cancel(self, enqueued: Enqueued, context: Context) -> None:
        if not enqueued.created:
            return
        with suppress(QueueError):  # the job ends by its timeout and maximum attempts in any case
            self._application.queue.cancel(enqueued.job_id, actor=f"Dagster run {context.run.run_id}")

    def _place(self, job_id: UUID) -> dict[str, dg.MetadataValue[Any]]:
        page = job_page(self._application.settings, job_id)
        return {
            "job": dg.MetadataValue.url(page) if page else dg.MetadataValue.text(f"cogo job show {job_id}"),
            "job_id": dg.MetadataValue.text(str(job_id)),
        }

    def _metadata(self, row: WholeJob) -> Metadata:
        files = {artifact.name or str(artifact.id): self._file(artifact) for artifact in row.artifacts}
        lines = [
            f"- [{name}]({file.value}), {artifact.size_bytes or 0:,} bytes"
            for (name, file), artifact in zip(files.items(), row.artifacts, strict=True)
        ]
        listed = {"artifacts": dg.MetadataValue.md("\n".join(lines))} if lines else {}
        return {
            **files,
            **listed,
            **self._place(row.id),
            "attempts": dg.MetadataValue.int(row.attempts),
            "run_seconds": dg.MetadataValue.float(_seconds(row.run_seconds)),
            "result": dg.MetadataValue.json(row.result),
        }

    def _file(self, artifact: ArtifactRow) -> dg.MetadataValue[Any]:
        url = artifact_content(self._application.settings, artifact.id)
        return dg.MetadataValue.url(url) if url else dg.MetadataValue.path(self._application.address_of(artifact) or "")


def _failure_message(row: WholeJob) -> str:
    error = row.error
    reason = f": {error.error_class}: {error.message}" if isinstance(error, StoredError) else "."
    attempts = counted(row.attempts, "attempt")
    return f"The {row.type} job {row.id} is {row.status} after {attempts}{reason}"


def _error(row: WholeJob) -> dict[str, dg.MetadataValue[Any]]:
    if not isinstance(row.error, StoredError):
        return {}
    return {"error": dg.MetadataValue.json(row.error.model_dump(mode="json", by_alias=True))}


def _seconds(value: object) -> float:
    return round(float(value), 3) if isinstance(value, int | float) else 0.0
