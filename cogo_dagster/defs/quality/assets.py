"""The gate's assets: recorded runs, closed days, weeks and the message about a week."""

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
    description="One row for each evaluation of a commit, by gate jobs or by `cogo gate record` in CI.",
    group_name="quality",
    kinds={"postgres"},
    owners=asset_keys.OWNERS,
)


@dg.asset(
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"http"},
    description="Whether the providers that jobs depend on answer, by one GET each.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3)),
)
def provider_health(cogo: CogoResource) -> dg.MaterializeResult[None]:
    """Probe them all, and keep what was found."""
    found = cogo.application.probe_providers()
    healthy = sum(result.healthy for result in found)
    rows = [dg.TableRecord(dict(result.to_json())) for result in found]
    table = {"providers": dg.MetadataValue.table(rows)} if rows else {}
    return dg.MaterializeResult(metadata={"healthy": healthy, "unhealthy": len(found) - healthy, **table})


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[asset_keys.GATE_RUNS, asset_keys.JOBS, provider_health],
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"sql", "pandas"},
    description=(
        "The numbers of a closed UTC day, kept for good. Computed again they are the same bytes; rows that came late "
        "make a revision; after a purge the stored day stands."
    ),
    freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 4 * * *", lower_bound_delta=timedelta(hours=2)),
)
def gate_snapshot(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Keep each day of the run; a month is one run."""
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
        "An ISO week beside the week before, with its chart. Computed from the rows and not from the days' snapshots, "
        "so that it does not race the one of Sunday."
    ),
    freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 6 * * 1", lower_bound_delta=timedelta(hours=4)),
)
def weekly_summary(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Keep each week of the run, and its chart as an artifact."""
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
        "The job that sends a week to people: enqueued once, whoever asks how often. A week that ended more than "
        "two weeks ago is history and is not sent from here; `cogo weekly enqueue --week` would."
    ),
)
def weekly_message(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
    """Enqueue the job, unless it is there or the week is history."""
    for monday in context.partition_keys:
        start = day_start(monday)
        week = week_of(start)
        if not is_recent(start, datetime.now(UTC)):
            context.add_asset_metadata({"week": week, "history": True}, partition_key=monday)
            continue
        job = cogo.application.weeks.enqueue(week)
        shown = {"week": week, "job_id": str(job.job_id), "created": job.created}
        context.add_asset_metadata(shown, partition_key=monday)
        context.log.info("%s: job %s %s.", week, job.job_id, "enqueued" if job.created else "was there already")
