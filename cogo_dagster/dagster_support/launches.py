"""Runs that a person launched with a selection or configuration that cannot be executed: they raise no alert."""

from collections.abc import Mapping
from typing import Final

import dagster as dg
from dagster._core.storage.tags import (
    AUTO_MATERIALIZE_TAG,
    AUTOMATION_CONDITION_TAG,
    BACKFILL_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)

from cogo_dagster.queue.errors import DuplicateJob, InvalidArgument, InvalidTransition, JobNotFound

_AUTOMATION: Final = (
    AUTO_MATERIALIZE_TAG,
    AUTOMATION_CONDITION_TAG,
    BACKFILL_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)


class RejectedLaunch(dg.Failure):
    """The selection or configuration of a run cannot be executed."""


_MISTAKES: Final = frozenset(
    error.__name__ for error in (RejectedLaunch, InvalidArgument, InvalidTransition, JobNotFound, DuplicateJob)
)


def is_mistaken_launch(tags: Mapping[str, str], error_class: str) -> bool:
    """Whether a run failed because of what the person requested who launched it, who sees the failure.

    Args:
        tags: Tags of the run; those of a schedule, sensor or backfill name it.
        error_class: Class of the error that ended the run.
    """
    return error_class in _MISTAKES and not any(name in tags for name in _AUTOMATION)
