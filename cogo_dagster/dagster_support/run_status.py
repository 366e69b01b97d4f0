"""Statuses and maximum runtimes of Dagster runs."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def was_terminated(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the termination of a run was requested, whatever its status became."""
    requests = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.PIPELINE_CANCELING, limit=1)
    return bool(requests.records)


def max_runtime(seconds: float) -> dict[str, str]:
    """Return the tag after which run monitoring ends a run. Nothing else ends a run whose host has died."""
    return {MAX_RUNTIME_SECONDS_TAG: str(int(seconds))}


def seconds_since(timestamp: float | None) -> float:
    """Return the seconds since a timestamp, at least 0; 0 without one."""
    return max(datetime.now(UTC).timestamp() - timestamp, 0.0) if timestamp else 0.0


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the descriptions of the asset checks of a run that failed with an error; empty if there are none."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    evaluations = [event.event_log_entry.asset_check_evaluation for event in events]
    failed = (one for one in evaluations if one and not one.passed and one.severity is dg.AssetCheckSeverity.ERROR)
    # A check of partitions has an evaluation for each, and one without a partition.
    return " ".join(dict.fromkeys(f"{one.check_name}: {one.description}" for one in failed))
