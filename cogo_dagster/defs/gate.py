"""The gate's assets: what is recorded, the day that is kept, the week that is told."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from cogo_dagster.defs.gate_metadata import day_metadata, week_metadata
from cogo_dagster.defs.hooks import HOOKS
from cogo_dagster.defs.reporting import ARTIFACTS_ASSET, JOBS_ASSET
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.defs.run_status import max_runtime
from cogo_dagster.quality.weeks import day_start, is_news, week_of

PAGES_ASSET: Final = dg.AssetKey(["queue", "pages"])
GATE_RUNS_ASSET: Final = dg.AssetKey(["quality", "gate_runs"])

DAYS: Final = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="UTC")
WEEKS: Final = dg.WeeklyPartitionsDefinition(start_date="2026-01-05", day_offset=1, timezone="UTC")

_SUMMARY: Final = "weekly_summary"

_KEEPING_SECONDS: Final = 3_600
_PROBING_SECONDS: Final = 900

sources: Final = [
    dg.AssetSpec(
        PAGES_ASSET,
        description="The pages and designs that jobs look at, by their addresses.",
        group_name="queue",
        kinds={"html"},
    ),
    dg.AssetSpec(
        JOBS_ASSET,
        deps=[PAGES_ASSET],
        description="The table of jobs. Each run of process_jobs reports what it did as one materialization.",
        group_name="queue",
        kinds={"postgres"},
    ),
    dg.AssetSpec(
        ARTIFACTS_ASSET,
        deps=[JOBS_ASSET],
        description="Screenshots, PDFs, exports and reports, in a folder or in Supabase Storage.",
        group_name="queue",
        kinds={"file"},
    ),
    dg.AssetSpec(
        GATE_RUNS_ASSET,
        deps=[ARTIFACTS_ASSET, JOBS_ASSET],
        description="One row for each evaluation of a commit, by gate jobs or by `cogo gate record` in CI.",
        group_name="quality",
        kinds={"postgres"},
    ),
]


@dg.asset(
    group_name="quality",
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
    deps=[GATE_RUNS_ASSET, JOBS_ASSET, provider_health],
    group_name="quality",
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
    deps=[GATE_RUNS_ASSET, JOBS_ASSET, gate_snapshot],
    group_name="quality",
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
        metadata = week_metadata(week, cogo.application.artifact_url(chart))
        context.add_asset_metadata(metadata, partition_key=monday)
        context.log.info("%s: %s", week.week, week.this_week.q1.reason)


@dg.asset(
    partitions_def=WEEKS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[weekly_summary],
    group_name="quality",
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
        if not is_news(start, datetime.now(UTC)):
            context.add_asset_metadata({"week": week, "history": True}, partition_key=monday)
            continue
        job = cogo.application.enqueue_week(week)
        shown = {"week": week, "job_id": str(job.job_id), "created": job.created}
        context.add_asset_metadata(shown, partition_key=monday)
        context.log.info("%s: job %s %s.", week, job.job_id, "enqueued" if job.created else "was there already")


snapshot_gate = dg.define_asset_job(
    "snapshot_gate",
    dg.AssetSelection.assets(gate_snapshot),
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Keep a closed day's numbers, and judge them.",
    tags=max_runtime(_KEEPING_SECONDS),
)
summarize_week = dg.define_asset_job(
    "summarize_week",
    dg.AssetSelection.assets(weekly_summary, weekly_message),
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Keep a week's numbers, then enqueue the job that sends them.",
    tags=max_runtime(_KEEPING_SECONDS),
)
check_health = dg.define_asset_job(
    "check_health",
    dg.AssetSelection.assets(provider_health) | dg.AssetSelection.checks_for_assets(JOBS_ASSET),
    executor_def=dg.in_process_executor,
    hooks=HOOKS,
    description="Probe the providers, and check the queue and its database.",
    tags=max_runtime(_PROBING_SECONDS),
)
