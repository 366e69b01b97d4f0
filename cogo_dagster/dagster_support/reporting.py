"""Log and metadata of a run of `process_jobs`: a line for each slow or failed job, counts for the others."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.worker import EventKind, Stage, WorkerEvent, WorkerReport

_ALWAYS: Final = {EventKind.LEASE_LOST, EventKind.RECOVERED, EventKind.WARNING, EventKind.STAGE_FINISHED}
_SLOW_SECONDS: Final = 0.5
_FIRST_JOBS: Final = 20
_TABLE_ROWS: Final = 200


class RunReport:
    """Collects the events of one run.

    Args:
        job_page: Returns the URL of a job; if it is None, the command that shows the job is given.
    """

    def __init__(self, job_page: Callable[[object], str | None] = lambda _: None) -> None:
        self._job_page = job_page
        self._kinds: Counter[EventKind] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._run_seconds: list[float] = []
        self._artifact_count = 0
        self._artifact_bytes = 0
        self._settled: dict[str, WorkerEvent] = {}

    def add(self, event: WorkerEvent) -> None:
        """Count an event."""
        self._kinds[event.kind] += 1
        if event.kind is EventKind.EXECUTED:
            self._outcomes[event.data["outcome"]] += 1
            self._run_seconds.append(event.data["run_seconds"])
        elif event.kind is EventKind.UPLOADED:
            self._artifact_count += len(event.data["artifacts"])
            self._artifact_bytes += sum(row["size_bytes"] for row in event.data["artifacts"])
        elif event.kind is EventKind.SETTLED:
            self._keep(event)

    def should_log(self, event: WorkerEvent) -> bool:
        """Whether to log an event: problems and slow jobs always, of the others only the first."""
        if event.kind in _ALWAYS or event.data.get("outcome") == "failed":
            return True
        slow = (event.data.get("run_seconds") or 0) >= _SLOW_SECONDS or event.kind is EventKind.UPLOADED
        return slow or self._kinds[event.kind] <= _FIRST_JOBS

    def log(self, context: dg.OpExecutionContext, event: WorkerEvent) -> None:
        """Log an event; for an upload, also record an observation with links to the files."""
        is_warning = event.kind in (EventKind.WARNING, EventKind.LEASE_LOST) or event.data.get("outcome") == "failed"
        (context.log.warning if is_warning else context.log.info)(event.message)
        if event.kind is EventKind.UPLOADED and event.job is not None:
            metadata = _artifact_metadata(event.job, event.data["artifacts"], self._job_page(event.job.id))
            context.log_event(dg.AssetObservation(asset_keys.ARTIFACTS, metadata=metadata))

    def stage_metadata(self, stage: Stage) -> dict[str, dg.MetadataValue]:
        """Return the counts of a stage, for the output of its op."""
        if stage is Stage.CLAIM:
            numbers: dict[str, float] = {"claimed": self._kinds[EventKind.CLAIMED]}
        elif stage is Stage.EXECUTE:
            numbers = {
                **self._outcomes,
                "run_seconds_p50": self._quantile(0.5),
                "run_seconds_p95": self._quantile(0.95),
            }
        else:
            numbers = {
                "settled": self._kinds[EventKind.SETTLED],
                "lease_lost": self._kinds[EventKind.LEASE_LOST],
                "artifacts": self._artifact_count,
                "artifact_bytes": self._artifact_bytes,
            }
        return {name: number(value) for name, value in numbers.items()}

    def materialization(self, report: WorkerReport) -> dg.AssetMaterialization:
        """Return the materialization of the jobs table, with a table of the last jobs."""
        metadata: dict[str, dg.MetadataValue] = {name: number(n) for name, n in report.counters.items()}
        metadata["elapsed_seconds"] = number(report.elapsed_seconds)
        metadata["ended_because"] = dg.MetadataValue.text(report.ended_because)
        if self._settled:
            last = list(self._settled.values())[-_TABLE_ROWS:]
            records = [dg.TableRecord(self._row(event.job, event.data)) for event in last if event.job is not None]
            metadata["jobs"] = dg.MetadataValue.table(records)
        return dg.AssetMaterialization(asset_keys.JOBS, description="Work of one worker run.", metadata=metadata)

    def _keep(self, event: WorkerEvent) -> None:
        if event.job is None:
            return
        self._settled[str(event.job.id)] = event
        if len(self._settled) > 2 * _TABLE_ROWS:
            for job_id in list(self._settled)[:_TABLE_ROWS]:
                del self._settled[job_id]

    def _row(self, job: Job, data: Mapping[str, Json]) -> dict[str, Json]:
        error = data["error"]
        return {
            "job_id": str(job.id),
            "type": job.type,
            "attempt": job.attempts,
            "status": data["job_status"] or "",
            "run_seconds": data["run_seconds"] or 0.0,
            "error": error["message"] if error else "",
            "look": self._job_page(job.id) or f"cogo job show {job.id}",
        }

    def _quantile(self, share: float) -> float:
        if not self._run_seconds:
            return 0.0
        ordered = sorted(self._run_seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _artifact_metadata(job: Job, files: Sequence[Json], page: str | None) -> dict[str, dg.MetadataValue]:
    links: dict[str, dg.MetadataValue] = {row["name"]: dg.MetadataValue.path(row["address"]) for row in files}
    return {
        "job_id": dg.MetadataValue.text(str(job.id)),
        "type": dg.MetadataValue.text(job.type),
        "look": dg.MetadataValue.url(page) if page else dg.MetadataValue.text(f"cogo job show {job.id}"),
        **links,
    }
