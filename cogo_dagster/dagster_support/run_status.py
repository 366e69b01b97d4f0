"""Where a Dagster run stands, and when Dagster ends it by itself."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def max_runtime(seconds: float) -> dict[str, str]:
    """Return the tag after which Dagster's run monitoring ends a run: the only end of one whose host died."""
    return {MAX_RUNTIME_SECONDS_TAG: str(int(seconds))}


def seconds_since(timestamp: float | None) -> float:
    """Return the seconds since a time of Dagster's, in seconds since 1970; 0 for none, and for one to come."""
    return max(datetime.now(UTC).timestamp() - timestamp, 0.0) if timestamp else 0.0
