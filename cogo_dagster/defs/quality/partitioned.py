"""The quality assets with partitions: days, weeks, and the weekly message.

Their partitions begin with the deployment, so they are built when the definitions are loaded.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.first_day import first_day
from cogo_dagster.dagster_support.gate_metadata import day_metadata, week_metadata
from cogo_dagster.dagster_support.lineage import gate_run_observation
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.window_tables import (
    days_table,
    gate_runs_of_day,
    is_listed,
    pages_table,
    runs_table,
)
from cogo_dagster.links import artifact_content
from cogo_dagster.quality.weeks import day_start, is_recent, week_of
from cogo_dagster.settings import PROJECT_ROOT, load_settings

_MAX_OBSERVED_RUNS: Final = 200
_WEEK_DAYS: Final = 400


class Partitions(NamedTuple):
    """The partitions of the assets: UTC days, and weeks that start on Monday."""

    days: dg.DailyPartitionsDefinition
    weeks: dg.WeeklyPartitionsDefinition


@dg.definitions
def partitioned() -> dg.Definitions:
    """Build the assets with the first day that the settings or the database have."""
    return dg.Definitions(assets=partitioned_assets(first_day(load_settings(PROJECT_ROOT / ".env"))))


def partitions_from(first: date) -> Partitions:
    """Return the partitions that begin with a day, and with the week that contains it."""
    monday = first - timedelta(days=first.weekday())
    return Partitions(
        dg.DailyPartitionsDefinition(start_date=f"{first:%Y-%m-%d}", timezone="UTC"),
        dg.WeeklyPartitionsDefinition(start_date=f"{monday:%Y-%m-%d}", day_offset=1, timezone="UTC"),
    )


def partitioned_assets(first: date) -> list[dg.AssetsDefinition]:
    """Return the assets with partitions that begin with a day."""
    days, weeks = partitions_from(first)
    return [_gate_snapshot(days), _weekly_summary(weeks), _weekly_message(weeks)]


def _gate_snapshot(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_keys.GATE_SNAPSHOT,
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[asset_keys.GATE_RUNS, asset_keys.JOBS],
        group_name="quality",
        owners=asset_keys.OWNERS,
        kinds={"sql", "pandas"},
        description=(
            "The numbers of a past UTC day, kept forever. Computing a day again gives the same bytes, unless rows "
            "arrived late, which creates a revision; after a purge of jobs, the stored day is kept. Rates are "
            "in percent."
        ),
        freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 4 * * *", lower_bound_delta=timedelta(hours=2)),
    )
    def gate_snapshot(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
        """Store each day of the run's partitions; a backfill of a month is one run."""
        for day in context.partition_keys:
            _store_day(context, cogo, day)

    return gate_snapshot


def _store_day(context: dg.AssetExecutionContext, cogo: CogoResource, day: str) -> None:
    application, start = cogo.application, day_start(day)
    stored = application.gates.store_day(start)
    metadata = day_metadata(stored)
    if is_listed(start):
        runs = gate_runs_of_day(application, start)
        metadata |= {**runs_table(application.settings, runs), **pages_table(application, start)}
        for run in runs[:_MAX_OBSERVED_RUNS] if stored.outcome != "unchanged" else ():
            context.log_event(gate_run_observation(application.settings, run))
    context.add_asset_metadata(metadata, partition_key=day)
    context.log.info("%s: %s (%s)", day, stored.summary.q1.reason, stored.outcome)


def _weekly_summary(weeks: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_keys.WEEKLY_SUMMARY,
        partitions_def=weeks,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[asset_keys.GATE_RUNS, asset_keys.JOBS, asset_keys.GATE_SNAPSHOT],
        group_name="quality",
        owners=asset_keys.OWNERS,
        kinds={"sql", "pandas"},
        description=(
            "An ISO week compared with the week before, with a chart. It is computed from the rows, not from the days' "
            "snapshots, so that it does not depend on Sunday's snapshot. Rates are in percent."
        ),
        freshness_policy=dg.FreshnessPolicy.cron(deadline_cron="0 6 * * 1", lower_bound_delta=timedelta(hours=4)),
    )
    def weekly_summary(context: dg.AssetExecutionContext, cogo: CogoResource) -> None:
        """Store each week of the run's partitions, and its chart as an artifact."""
        application = cogo.application
        for monday in context.partition_keys:
            start = day_start(monday)
            week, chart = application.gates.publish_week(week_of(start))
            days = days_table(application.settings, start.date(), application.gates.snapshots(_WEEK_DAYS))
            metadata = week_metadata(week, artifact_content(application.settings, chart))
            context.add_asset_metadata(metadata | days, partition_key=monday)
            context.log.info("%s: %s", week.week, week.this_week.q1.reason)

    return weekly_summary


def _weekly_message(weeks: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_keys.WEEKLY_MESSAGE,
        partitions_def=weeks,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[asset_keys.WEEKLY_SUMMARY],
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

    return weekly_message
