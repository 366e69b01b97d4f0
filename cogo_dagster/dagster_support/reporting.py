"""Log and metadata of a run of `process_jobs`: a line for each slow or failed job, counts for the others."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.lineage import artifacts_observation, page_observation
from cogo_dagster.dagster_support.metadata import code_cell, link_cell, markdown_table, number, plain_cell
from cogo_dagster.formatting.values import run_time
from cogo_dagster.links import job_page
from cogo_dagster.queue.model import Job, Json
from cogo_dagster.queue.rows.jobs import payload_subject
from cogo_dagster.queue.worker import EventKind, Stage, WorkerEvent, WorkerReport
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

CLAIMED_TAG: Final = "cogo/claimed"
FAILED_TAG: Final = "cogo/failed"
WORKER_TAG: Final = "cogo/worker"

_ALWAYS: Final = {EventKind.LEASE_LOST, EventKind.RECOVERED, EventKind.WARNING, EventKind.STAGE_FINISHED}
_SLOW_SECONDS: Final = 0.5
_FIRST_JOBS: Final = 20
_TABLE_ROWS: Final = 200
_COLUMNS: Final = ["job", "type", "status", "attempt", "run", "about", "error"]


class RunReport:
    """Collects the events of one run.

    Args:
        settings: Settings with the addresses of links.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds: Counter[EventKind] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._run_seconds: list[float] = []
        self._artifact_count = 0
        self._artifact_bytes = 0
        self._files: dict[str, list[Json]] = {}
        self._gate_jobs: set[str] = set()
        self._failed: dict[str, WorkerEvent] = {}
        self._others: dict[str, WorkerEvent] = {}

    @property
    def gate_jobs(self) -> set[str]:
        """The IDs of the jobs that may have recorded a gate run."""
        return self._gate_jobs

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which the list of runs shows which run had failures."""
        return {CLAIMED_TAG: str(self._kinds[EventKind.CLAIMED]), FAILED_TAG: str(self._outcomes["failed"])}

    def add(self, event: WorkerEvent) -> None:
        """Count an event."""
        self._kinds[event.kind] += 1
        if event.kind is EventKind.EXECUTED:
            self._outcomes[event.data["outcome"]] += 1
            self._run_seconds.append(event.data["run_seconds"])
        elif event.kind is EventKind.UPLOADED:
            self._artifact_count += len(event.data["artifacts"])
            self._artifact_bytes += sum(row["size_bytes"] for row in event.data["artifacts"])
            if event.job is not None:
                self._files[str(event.job.id)] = event.data["artifacts"]
        elif event.kind is EventKind.SETTLED:
            self._keep(event)

    def should_log(self, event: WorkerEvent) -> bool:
        """Whether to log an event: problems and slow jobs always, of the others only the first."""
        if event.kind in _ALWAYS or event.data.get("outcome") == "failed":
            return True
        slow = (event.data.get("run_seconds") or 0) >= _SLOW_SECONDS or event.kind is EventKind.UPLOADED
        return slow or self._kinds[event.kind] <= _FIRST_JOBS

    def report(self, context: dg.OpExecutionContext, event: WorkerEvent) -> None:
        """Log an event, if it is one to log, and record its page and artifacts as observations with links."""
        if self.should_log(event):
            failed = event.data.get("outcome") == "failed"
            is_warning = failed or event.kind in (EventKind.WARNING, EventKind.LEASE_LOST)
            (context.log.warning if is_warning else context.log.info)(event.message)
            for observation in self._observations(event):
                context.log_event(observation)
        if event.job is not None and event.kind in (EventKind.SETTLED, EventKind.LEASE_LOST):
            self._files.pop(str(event.job.id), None)

    def _observations(self, event: WorkerEvent) -> Iterator[dg.AssetObservation]:
        job = event.job
        if job is None:
            return
        if event.kind is EventKind.UPLOADED:
            yield artifacts_observation(self._settings, job, event.data["artifacts"])
        elif event.kind is EventKind.SETTLED:
            files, error = self._files.get(str(job.id), []), event.data["error"]
            message = error["message"] if error else None
            observed = page_observation(self._settings, job, event.data["job_status"] or "", message, files)
            if observed is not None:
                yield observed

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

    def observation(self, report: WorkerReport) -> dg.AssetObservation:
        """Return the observation of the jobs table, with a table of the jobs, failed ones first.

        It is not a materialization: Dagster shows checks that are older than the newest one as not evaluated.
        """
        metadata: dict[str, dg.MetadataValue] = {name: number(n) for name, n in report.counters.items()}
        metadata["elapsed_seconds"] = number(report.elapsed_seconds)
        metadata["ended_because"] = dg.MetadataValue.text(report.ended_because)
        last = [*reversed(self._failed.values()), *reversed(self._others.values())][:_TABLE_ROWS]
        if last:
            metadata["jobs"] = markdown_table(
                _COLUMNS, [self._row(event.job, event.data) for event in last if event.job]
            )
        return dg.AssetObservation(asset_keys.JOBS, description="Work of one worker run.", metadata=metadata)

    def _keep(self, event: WorkerEvent) -> None:
        if event.job is None:
            return
        job_id = str(event.job.id)
        if event.job.family in ("gate", "gate_fix"):
            self._gate_jobs.add(job_id)
        has_failed = event.data["outcome"] == "failed"
        self._others.pop(job_id, None)
        if not has_failed:
            self._failed.pop(job_id, None)
        kept = self._failed if has_failed else self._others
        kept[job_id] = event
        if len(kept) > 2 * _TABLE_ROWS:
            for earlier in list(islice(kept, _TABLE_ROWS)):
                del kept[earlier]

    def _row(self, job: Job, data: Mapping[str, Json]) -> list[str]:
        error, page = data["error"], job_page(self._settings, job.id)
        return [
            link_cell(str(job.id)[-8:], page) if page else f"`cogo job show {job.id}`",
            plain_cell(job.type),
            plain_cell(data["job_status"] or ""),
            str(job.attempts),
            plain_cell(run_time(data["run_seconds"])),
            code_cell(redact(payload_subject(job.payload) or "")),
            code_cell(error["message"] if error else ""),
        ]

    def _quantile(self, share: float) -> float:
        if not self._run_seconds:
            return 0.0
        ordered = sorted(self._run_seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
