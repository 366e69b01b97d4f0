"""The ops of the operators. Each runs the code of a command, and its configuration corresponds to the options."""

from typing import Any, Final

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.queue.bulk import MAX_LIMIT, Operation, Totals, preview
from cogo_dagster.queue.model import Json
from cogo_dagster.release import code_version

_SHOWN: Final = 100


class BulkConfig(dg.Config):
    """Configuration of all bulk operations."""

    limit: int | None = Field(None, ge=1, le=MAX_LIMIT, description="Maximum number of rows; default: no limit.")


class ChoosingConfig(BulkConfig):
    """Selects jobs."""

    type_prefix: str | None = Field(None, description="Type prefix.")
    executor_id: str | None = Field(None, description="Executor ID that the jobs are addressed to.")
    since_seconds: float | None = Field(None, gt=0, description="Failed within the last N seconds.")
    job_ids: list[str] | None = Field(
        None, max_length=1000, description="Only these jobs; an error if a job does not match."
    )

    def filters(self) -> dict[str, Json]:
        """Return the filters as arguments of the SQL functions."""
        return {
            "type_prefix": self.type_prefix,
            "executor_id": self.executor_id,
            "since_seconds": self.since_seconds,
            "job_ids": self.job_ids,
        }


class RetryFailedConfig(ChoosingConfig):
    """Which failed jobs to retry."""

    reset_attempts: bool = Field(False, description="Reset the number of attempts; default: allow one more attempt.")
    dry_run: bool = Field(True, description="Report what would change, without changing it.")


class ReplayDlqConfig(ChoosingConfig):
    """Which dead-lettered jobs to replay."""

    fingerprint: str | None = Field(None, description="Fingerprint of the cause, from `cogo list incidents`.")
    skip_unfit: bool = Field(False, description="Skip jobs in job_ids that were replayed or retried since.")
    dry_run: bool = Field(False, description="Report what would change, without changing it.")


class DiscardDlqConfig(ChoosingConfig):
    """Which dead-lettered jobs to discard, and why."""

    fingerprint: str | None = Field(None, description="Fingerprint of the cause, from `cogo list incidents`.")
    reason: str = Field("", max_length=500, description="Why; required unless it is a dry run.")
    dry_run: bool = Field(True, description="Report what would change, without changing it.")


class RecoverLeasesConfig(dg.Config):
    """Options of the recovery."""

    dry_run: bool = Field(False, description="Report what would change, without changing it.")


class CleanupArtifactsConfig(BulkConfig):
    """Which artifacts to delete."""

    ttl_days: float = Field(
        30, ge=0, le=36_500, description="Minimum age in days; the TTL of an artifact overrides it."
    )
    delete_storage: bool = Field(
        True, description="Delete the objects too; otherwise only the rows are marked as expired."
    )
    dry_run: bool = Field(False, description="Report what would change, without changing it.")


class PurgeJobsConfig(BulkConfig):
    """Which finished jobs to delete."""

    ttl_days: float = Field(30, ge=0, le=36_500, description="Minimum number of days since the job finished.")
    statuses: list[str] = Field(["succeeded", "cancelled"], description="Any of succeeded, cancelled and failed.")
    dry_run: bool = Field(True, description="Report what would change, without changing it.")


@dg.op(description="Retry failed jobs under the same IDs. A dry run by default.")
def retry_failed(context: dg.OpExecutionContext, config: RetryFailedConfig, cogo: CogoResource) -> None:
    """Retry, and report the counts."""
    operation = Operation("retry_failed", config.filters() | {"reset_attempts": config.reset_attempts})
    _run(context, cogo, operation, dry_run=config.dry_run, limit=config.limit)


@dg.op(description="Replay dead-lettered jobs, each once, as new jobs.")
def replay_dlq(context: dg.OpExecutionContext, config: ReplayDlqConfig, cogo: CogoResource) -> None:
    """Replay, and report the counts and the new jobs."""
    operation = Operation("replay_dlq", config.filters() | {"fingerprint": config.fingerprint})
    named = [{"id": job_id} for job_id in config.job_ids or ()] if config.skip_unfit else None
    totals = _run(context, cogo, operation, dry_run=config.dry_run, limit=config.limit, items=named or None)
    if totals.counts["same_code_version"]:
        context.log.warning(
            "%d of the jobs failed on the current release (%s) and may fail again.",
            totals.counts["same_code_version"],
            code_version(),
        )


@dg.op(description="Discard dead-lettered jobs: close them without a replay. A dry run by default.")
def discard_dlq(context: dg.OpExecutionContext, config: DiscardDlqConfig, cogo: CogoResource) -> None:
    """Discard, and report the counts and the ID with which the discard can be undone."""
    arguments = {"fingerprint": config.fingerprint, "reason": config.reason}
    totals = _run(
        context,
        cogo,
        Operation("discard_dlq", config.filters() | arguments),
        dry_run=config.dry_run,
        limit=config.limit,
    )
    if totals.changed:
        context.log.info("Undo it with `cogo undo discard %s`.", totals.action_id)


@dg.op(description="Recover jobs whose lease has expired because their worker is gone.")
def recover_leases(context: dg.OpExecutionContext, config: RecoverLeasesConfig, cogo: CogoResource) -> None:
    """Recover, and report the counts: requeued, dead-lettered, cancelled."""
    _run(context, cogo, Operation("recover_leases"), dry_run=config.dry_run, limit=None)


@dg.op(description="Delete expired artifacts; by default with their objects.")
def cleanup_artifacts(context: dg.OpExecutionContext, config: CleanupArtifactsConfig, cogo: CogoResource) -> None:
    """Delete, and report the counts."""
    arguments = {"older_than_days": config.ttl_days, "delete_objects": config.delete_storage}
    _run(context, cogo, Operation("cleanup_artifacts", arguments), dry_run=config.dry_run, limit=config.limit)


@dg.op(description="Delete old finished jobs. A dry run by default.")
def purge_jobs(context: dg.OpExecutionContext, config: PurgeJobsConfig, cogo: CogoResource) -> None:
    """Delete, and report the counts."""
    arguments = {"older_than_days": config.ttl_days, "statuses": config.statuses}
    _run(context, cogo, Operation("purge_jobs", arguments), dry_run=config.dry_run, limit=config.limit)


def _run(
    context: dg.OpExecutionContext,
    cogo: CogoResource,
    operation: Operation,
    *,
    dry_run: bool,
    limit: int | None,
    items: list[dict[str, Json]] | None = None,
) -> Totals:
    if dry_run:
        totals = preview(cogo.queue, operation, limit)
    else:
        totals = cogo.application.perform(
            operation,
            f"Dagster run {context.run_id}",
            limit=limit,
            items=items,
            on_batch=lambda so_far: context.log.info("%d changed, %d skipped so far.", so_far.changed, so_far.skipped),
        )
    context.add_output_metadata(_metadata(totals, dry_run))
    return totals


def _metadata(totals: Totals, dry_run: bool) -> dict[str, Any]:
    counts = {"matched": totals.matched, "changed": totals.changed, "skipped": totals.skipped, **totals.counts}
    shown = {"items": dg.MetadataValue.json(totals.items[:_SHOWN])} if totals.items else {}
    return {**counts, "dry_run": dry_run, **shown}
