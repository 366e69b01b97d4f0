"""Where a Dagster run stands, and when Dagster ends it by itself."""

from typing import Final

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def max_runtime(seconds: float) -> dict[str, str]:
    """Return the tag after which Dagster's run monitoring ends a run: the only end of one whose host died."""
    return {MAX_RUNTIME_SECONDS_TAG: str(int(seconds))}
