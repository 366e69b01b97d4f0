"""Statuses, failures and maximum runtimes of Dagster runs."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

_CHECK_FAILED: Final = "check_failed"


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


def error_class(name: str) -> str:
    """Return the error class of an alert. A failed asset check is `check_failed`, as it is not an error of the op."""
    return _CHECK_FAILED if name == DagsterAssetCheckFailedError.__name__ else name


def error_message(instance: dg.DagsterInstance, run_id: str, kind: str, message: str) -> str:
    """Return the message of an alert: that of the error, or the descriptions of failed checks, which have the numbers.

    Args:
        kind: The error class.
        message: The message of the error.
    """
    checks = failed_checks(instance, run_id) if kind == _CHECK_FAILED else ""
    return checks or message


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the descriptions of the asset checks of a run that failed with an error; empty if there are none."""
    events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    evaluations = [event.event_log_entry.asset_check_evaluation for event in events]
    failed = (one for one in evaluations if one and not one.passed and one.severity is dg.AssetCheckSeverity.ERROR)
    # A check of partitions has an evaluation for each, and one without a partition.
    return " ".join(dict.fromkeys(f"{one.check_name}: {one.description}" for one in failed))
