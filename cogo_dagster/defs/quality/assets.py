"""The gate's assets: gate runs, days, weeks, and the weekly message."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.gate_metadata import day_metadata, week_metadata
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.links import artifact_content
from cogo_dagster.quality.weeks import day_start, is_recent, week_of

DAYS: Final = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="UTC")
WEEKS: Final = dg.WeeklyPartitionsDefinition(start_date="2026-01-05", day_offset=1, timezone="UTC")

gate_runs: Final = dg.AssetSpec(
    asset_keys.GATE_RUNS,
    deps=[asset_keys.ARTIFACTS, asset_keys.JOBS],
    description="One row per evaluation of a commit, by gate jobs or by `cogo gate record` in CI.",
    group_name="quality",
    kinds={"postgres"},
    owners=asset_keys.OWNERS,
)


@dg.asset(
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"http"},
    description="Whether the providers of jobs respond to a GET request.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3)),
)
def provider_health(cogo: CogoResource) -> dg.MaterializeResult[None]:
    """Probe all providers and record the results."""
    results = cogo.application.probe_providers()
    healthy = sum(result.healthy for result in results)
    rows = [dg.TableRecord(dict(result.to_json())) for result in results]
    table = {"providers": dg.MetadataValue.table(rows)} if rows else {}
    return dg.MaterializeResult(metadata={"healthy": healthy, "unhealthy": len(results) - healthy, **table})


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[asset_keys.GATE_RUNS, asset_keys.JOBS, provider_health],
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"sql", "pandas"},
    description=(
        "The numbers of a past UTC day, kept forever. Computing a day again gives the same bytes, unless rows arrived "
        "late, which creates a revision; after a purge of jobs, the stored day is kept."
    ),
    freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 4 * * *", lower_bound_delta=timedelta(hours=2)),
)
def gate_snapshot(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Store each day of the run's partitions; a backfill of a month is one run."""
    gates = cogo.application.gates
    for day in context.partition_keys:
        stored = gates.store_day(day_start(day))
        context.add_asset_metadata(day_metadata(stored), partition_key=day)
        context.log.info("%s: %s (%s)", day, stored.summary.q1.reason, stored.outcome)


@dg.asset(
    partitions_def=WEEKS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[asset_keys.GATE_RUNS, asset_keys.JOBS, gate_snapshot],
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"sql", "pandas"},
    description=(
        "An ISO week compared with the week before, with a chart. It is computed from the rows, not from the days' "
        "snapshots, so that it does not depend on Sunday's snapshot."
    ),
    freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 6 * * 1", lower_bound_delta=timedelta(hours=4)),
)
def weekly_summary(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Store each week of the run's partitions, and its chart as an artifact."""
    for monday in context.partition_keys:
        week, chart = cogo.application.gates.publish_week(week_of(day_start(monday)))
        metadata = week_metadata(week, artifact_content(cogo.application.settings, chart))
        context.add_asset_metadata(metadata, partition_key=monday)
        context.log.info("%s: %s", week.week, week.this_week.q1.reason)


@dg.asset(
    partitions_def=WEEKS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[weekly_summary],
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"postgres"},
    description=(
        "The job that sends the summary of a week, enqueued once. No job is enqueued for a week that ended more "
        "than two weeks ago; use `cogo weekly enqueue --week`."
    ),
)
def weekly_message(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Enqueue the job, unless it exists or the week is too old."""
    for monday in context.partition_keys:
        start = day_start(monday)
        week = week_of(start)
        if not is_recent(start, datetime.now(UTC)):
            context.add_asset_metadata({"week": week, "history": True}, partition_key=monday)
            continue
        job = cogo.application.weeks.enqueue(week)
        shown = {"week": week, "job_id": str(job.job_id), "created": job.created}
        context.add_asset_metadata(shown, partition_key=monday)
        context.log.info("%s: job %s %s.", week, job.job_id, "enqueued" if job.created else "already exists")
