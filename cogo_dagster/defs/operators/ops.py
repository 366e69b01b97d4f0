"""The operators' ops: the options of a command as config, and the same code behind both."""

from typing import Any, Final

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.queue.bulk import MAX_LIMIT, Operation, Totals, preview
from cogo_dagster.queue.model import Json
from cogo_dagster.release import code_version

_SHOWN: Final = 100


class BulkConfig(dg.Config):
    """What every operator's op takes."""

    limit: int | None = Field(None, ge=1, le=MAX_LIMIT, description="At most so many; all that match if left out.")


class ChoosingConfig(BulkConfig):
    """Filters over jobs."""

    type_prefix: str | None = Field(None, description="Only types that begin so.")
    executor_id: str | None = Field(None, description="Only jobs addressed to this executor id.")
    since_seconds: float | None = Field(None, gt=0, description="Only what failed within the last so many seconds.")
    job_ids: list[str] | None = Field(None, max_length=1000, description="Only these jobs; all of them must fit.")

    def filters(self) -> dict[str, Json]:
        """Return them as the SQL functions take them."""
        return {
            "type_prefix": self.type_prefix,
            "executor_id": self.executor_id,
            "since_seconds": self.since_seconds,
            "job_ids": self.job_ids,
        }


class RetryFailedConfig(ChoosingConfig):
    """Which failed jobs get another chance."""

    reset_attempts: bool = Field(False, description="Count attempts from zero; else one more where they are used up.")
    dry_run: bool = Field(True, description="Show what would happen, write nothing.")


class ReplayDlqConfig(ChoosingConfig):
    """Which dead letters become new jobs."""

    fingerprint: str | None = Field(None, description="Only of this cause, as `cogo list incidents` shows it.")
    skip_unfit: bool = Field(False, description="Leave out those of job_ids that were replayed or retried meanwhile.")
    dry_run: bool = Field(False, description="Show what would happen, write nothing.")


class RecoverLeasesConfig(dg.Config):
    """What to recover."""

    dry_run: bool = Field(False, description="Show what would happen, write nothing.")


class CleanupArtifactsConfig(BulkConfig):
    """Which artifacts go."""

    ttl_days: float = Field(30, ge=0, le=36_500, description="Those made so long ago, unless they say otherwise.")
    delete_storage: bool = Field(True, description="Delete the files too; else the rows say expired.")
    dry_run: bool = Field(False, description="Show what would happen, write nothing.")


class PurgeJobsConfig(BulkConfig):
    """Which ended jobs go."""

    ttl_days: float = Field(30, ge=0, le=36_500, description="Those that ended so long ago.")
    statuses: list[str] = Field(["succeeded", "cancelled"], description="Of succeeded, cancelled and failed.")
    dry_run: bool = Field(True, description="Show what would happen, write nothing.")


@dg.op(description="Put failed jobs back into the queue, under their own ids. A dry run unless told otherwise.")
def retry_failed(context: dg.OpExecutionContext, config: RetryFailedConfig, cogo: CogoResource) -> None:
    """Retry, and report the counts."""
    operation = Operation("retry_failed", config.filters() | {"reset_attempts": config.reset_attempts})
    _run(context, cogo, operation, dry_run=config.dry_run, limit=config.limit)


@dg.op(description="Put dead letters back into the queue, each once, as new jobs.")
def replay_dlq(context: dg.OpExecutionContext, config: ReplayDlqConfig, cogo: CogoResource) -> None:
    """Replay, and report the counts and the new jobs."""
    operation = Operation("replay_dlq", config.filters() | {"fingerprint": config.fingerprint})
    named = [{"id": job_id} for job_id in config.job_ids or ()] if config.skip_unfit else None
    totals = _run(context, cogo, operation, dry_run=config.dry_run, limit=config.limit, items=named or None)
    if totals.counts["same_code_version"]:
        context.log.warning(
            "%d of them failed on this very release (%s) and may fail again.",
            totals.counts["same_code_version"],
            code_version(),
        )


@dg.op(description="Take back jobs whose lease expired because their worker is gone.")
def recover_leases(context: dg.OpExecutionContext, config: RecoverLeasesConfig, cogo: CogoResource) -> None:
    """Recover, and report how many were requeued, failed for good or cancelled."""
    _run(context, cogo, Operation("recover_leases"), dry_run=config.dry_run, limit=None)


@dg.op(description="Let artifacts go whose time is up, with their files unless told otherwise.")
def cleanup_artifacts(context: dg.OpExecutionContext, config: CleanupArtifactsConfig, cogo: CogoResource) -> None:
    """Clean up, and report the counts."""
    arguments = {"older_than_days": config.ttl_days, "delete_objects": config.delete_storage}
    _run(context, cogo, Operation("cleanup_artifacts", arguments), dry_run=config.dry_run, limit=config.limit)


@dg.op(description="Delete jobs that ended long ago. A dry run unless told otherwise.")
def purge_jobs(context: dg.OpExecutionContext, config: PurgeJobsConfig, cogo: CogoResource) -> None:
    """Purge, and report the counts."""
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
