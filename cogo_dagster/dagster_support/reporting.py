"""Log and metadata of a run of `process_jobs`: a line for each slow or failed job, counts for the others."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.lineage import artifacts_observation, page_observation
from cogo_dagster.dagster_support.metadata import code_cell, link_cell, markdown_table, number, plain_cell
from cogo_dagster.formatting.values import run_time
from cogo_dagster.links import job_page
from cogo_dagster.queue.model import Job, JobError, Json, Outcome, Settlement
from cogo_dagster.queue.rows.jobs import payload_subject
from cogo_dagster.queue.worker import EventKind, Observer, Stage, WorkerEvent, WorkerReport
from cogo_dagster.queue.worker.events import SettledAttempt, claimed_event, executed_event, settled_event
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

CLAIMED_TAG: Final = "cogo/claimed"
FAILED_TAG: Final = "cogo/failed"
RETRIED_TAG: Final = "cogo/retried"
WORKER_TAG: Final = "cogo/worker"

OPS: Final = {Stage.CLAIM: "claim_jobs", Stage.EXECUTE: "execute_jobs", Stage.UPLOAD: "upload_artifacts"}
"""The op that reports each stage."""

_SLOW_SECONDS: Final = 0.5
_FIRST_JOBS: Final = 20
_TABLE_ROWS: Final = 200
_COLUMNS: Final = ["job", "type", "status", "attempt", "run", "about", "error"]


class _Row(NamedTuple):
    """A row of the table of jobs; without the result, which may be large."""

    job: Job[Any]
    job_status: str | None
    run_seconds: float | None
    error: JobError | None


class RunReport(Observer):
    """Counts everything that happens in the worker of one run, in the worker's thread, and selects events for the log.

    Passing every event to the thread of the op would cost as much as a short job.

    Args:
        settings: Settings with the addresses of links.
        log: Takes the events to log: problems, failed and slow jobs, and the first of each kind.
    """

    def __init__(self, settings: Settings, log: Callable[[WorkerEvent], None]) -> None:
        self._settings = settings
        self._log = log
        self._claimed = 0
        self._settled = 0
        self._leases_lost = 0
        self._outcomes: Counter[str] = Counter()
        self._failed_jobs = 0
        self._retried = 0
        self._run_seconds: list[float] = []
        self._artifact_count = 0
        self._artifact_bytes = 0
        self._files: dict[str, list[Json]] = {}
        self._gate_jobs: set[str] = set()
        self._failed: dict[str, _Row] = {}
        self._others: dict[str, _Row] = {}

    @property
    def gate_jobs(self) -> set[str]:
        """The IDs of the jobs that may have recorded a gate run."""
        return self._gate_jobs

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which the list of runs shows which run had failures, with the counters of the jobs table."""
        counts = {CLAIMED_TAG: self._claimed, FAILED_TAG: self._failed_jobs, RETRIED_TAG: self._retried}
        return {tag: str(count) for tag, count in counts.items()}

    def claimed(self, jobs: Sequence[Job[Any]]) -> None:
        """Count claimed jobs."""
        for job in jobs[: max(_FIRST_JOBS - self._claimed, 0)]:
            self._log(claimed_event(job))
        self._claimed += len(jobs)

    def executed(self, settlement: Settlement) -> None:
        """Count an ended attempt."""
        self._outcomes[settlement.outcome.value] += 1
        self._run_seconds.append(settlement.run_seconds or 0.0)
        if _is_notable(settlement) or len(self._run_seconds) <= _FIRST_JOBS:
            self._log(executed_event(settlement))

    def settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Count settled attempts, and keep the last ones for the table."""
        for position, (settlement, job_status) in enumerate(attempts, self._settled + 1):
            if settlement.outcome is Outcome.FAILED:
                self._failed_jobs += job_status == "failed"
                self._retried += job_status == "queued"
            files = self._files.pop(str(settlement.job.id), []) if self._files else []
            if position <= _FIRST_JOBS or _is_notable(settlement):
                event = settled_event(settlement, job_status)
                event.data = {**event.data, "artifacts": files}
                self._log(event)
            self._keep(settlement, job_status)
        self._settled += len(attempts)

    def event(self, event: WorkerEvent) -> None:
        """Count any other event; all of them are logged."""
        job_id = str(event.job.id) if event.job else ""
        if event.kind is EventKind.UPLOADED:
            self._files[job_id] = event.data["artifacts"]
            self._artifact_count += len(event.data["artifacts"])
            self._artifact_bytes += sum(row["size_bytes"] for row in event.data["artifacts"])
        elif event.kind is EventKind.LEASE_LOST:
            self._leases_lost += 1
            self._files.pop(job_id, None)
        self._log(event)

    def report(self, context: dg.OpExecutionContext, event: WorkerEvent) -> None:
        """Log an event as a line of the op of its stage, and record its page and artifacts as observations with links.

        The op that currently follows is another one: the ops run one after another, the stages concurrently.
        """
        failed = event.data.get("outcome") == "failed"
        is_warning = failed or event.kind in (EventKind.WARNING, EventKind.LEASE_LOST)
        op = OPS[event.stage]
        log = context.log.with_tags(step_key=op, op_name=op)
        (log.warning if is_warning else log.info)(event.message)
        for observation in self._observations(event):
            context.log_event(observation)

    def _observations(self, event: WorkerEvent) -> Iterator[dg.AssetObservation]:
        job = event.job
        if job is None:
            return
        if event.kind is EventKind.UPLOADED:
            yield artifacts_observation(self._settings, job, event.data["artifacts"])
        elif event.kind is EventKind.SETTLED:
            files, error = event.data["artifacts"], event.data["error"]
            message = error["message"] if error else None
            observed = page_observation(self._settings, job, event.data["job_status"] or "", message, files)
            if observed is not None:
                yield observed

    def stage_metadata(self, stage: Stage) -> dict[str, dg.MetadataValue]:
        """Return the counts of a stage, for the output of its op."""
        if stage is Stage.CLAIM:
            numbers: dict[str, float] = {"claimed": self._claimed}
        elif stage is Stage.EXECUTE:
            numbers = {
                **self._outcomes,
                "run_seconds_p50": self._quantile(0.5),
                "run_seconds_p95": self._quantile(0.95),
            }
        else:
            numbers = {
                "settled": self._settled,
                "lease_lost": self._leases_lost,
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
            metadata["jobs"] = markdown_table(_COLUMNS, [self._cells(row) for row in last])
        return dg.AssetObservation(asset_keys.JOBS, description="Work of one worker run.", metadata=metadata)

    def _keep(self, settlement: Settlement, job_status: str | None) -> None:
        job = settlement.job
        job_id = str(job.id)
        if job.type.startswith("gate") and job.family in ("gate", "gate_fix"):
            self._gate_jobs.add(job_id)
        has_failed = settlement.outcome is Outcome.FAILED
        self._others.pop(job_id, None)
        if not has_failed and self._failed:
            self._failed.pop(job_id, None)
        kept = self._failed if has_failed else self._others
        kept[job_id] = _Row(job, job_status, settlement.run_seconds, settlement.error)
        if len(kept) > 2 * _TABLE_ROWS:
            for earlier in list(islice(kept, _TABLE_ROWS)):
                del kept[earlier]

    def _cells(self, row: _Row) -> list[str]:
        job, error, page = row.job, row.error, job_page(self._settings, row.job.id)
        return [
            link_cell(str(job.id)[-8:], page) if page else f"`cogo job show {job.id}`",
            plain_cell(job.type),
            plain_cell(row.job_status or ""),
            str(job.attempts),
            plain_cell(run_time(row.run_seconds).replace(" ", "\N{NO-BREAK SPACE}")),
            code_cell(redact(payload_subject(job.payload) or "")),
            code_cell(str(error.to_json()["message"]) if error else ""),
        ]

    def _quantile(self, share: float) -> float:
        if not self._run_seconds:
            return 0.0
        ordered = sorted(self._run_seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _is_notable(settlement: Settlement) -> bool:
    """Whether an attempt failed or was slow, so that it has its own lines."""
    return settlement.outcome is Outcome.FAILED or (settlement.run_seconds or 0) >= _SLOW_SECONDS
