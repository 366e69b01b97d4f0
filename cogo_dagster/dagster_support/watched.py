"""Finds running schedules with the time of their next tick, and failing sensors."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, ScheduleInstigatorData, TickStatus
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster_shared.error import SerializableErrorInfo

from cogo_dagster.dagster_support.resources import ResourceUnavailable
from cogo_dagster.queue.model import Json

_FAILED_TICKS: Final = 2
_ENDED_TICKS: Final = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]


def watched_schedules(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> list[dict[str, Json]]:
    """Return the project's running schedules, as `watch_schedules` takes them.

    A schedule that the daemon has never evaluated has no state and cannot be late.
    """
    names = {schedule.name: schedule for schedule in repository.schedule_defs}
    watched = []
    for state in _running(instance, InstigatorType.SCHEDULE):
        schedule = names.get(state.instigator_name)
        if schedule is not None:
            watched.append(_watched(schedule, state, _last_tick(instance, state), now))
    return watched


def failing_sensors(instance: dg.DagsterInstance, names: Collection[str]) -> dict[str, str]:
    """Return the running sensors whose last two ticks failed, with the last error.

    A sensor that raises starts no run, so no failed run reports it. A single failed tick is ignored: a restart of the
    database or a reload of the code location causes one.
    """
    failing = {}
    for state in _running(instance, InstigatorType.SENSOR):
        if state.instigator_name in names:
            ticks = instance.get_ticks(
                state.instigator_origin_id, state.selector_id, limit=_FAILED_TICKS, statuses=_ENDED_TICKS
            )
            if len(ticks) == _FAILED_TICKS and all(tick.status == TickStatus.FAILURE for tick in ticks):
                failing[state.instigator_name] = _error_of(ticks[0])
    return failing


def message_of(error: SerializableErrorInfo) -> str:
    """Return the message of the first cause of an error; for an unavailable queue without the name of its class."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip().removeprefix(f"{ResourceUnavailable.__module__}.{ResourceUnavailable.__name__}: ")


def _error_of(tick: InstigatorTick) -> str:
    return message_of(tick.error) if tick.error else "The tick failed without an error message."


def _running(instance: dg.DagsterInstance, instigator_type: InstigatorType) -> Iterator[InstigatorState]:
    seen: set[str] = set()
    for state in instance.all_instigator_state(instigator_type=instigator_type):
        if state.is_running and state.instigator_name not in seen:
            seen.add(state.instigator_name)
            yield state


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState) -> InstigatorTick | None:
    return next(iter(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)), None)


def _watched(
    schedule: dg.ScheduleDefinition, state: InstigatorState, tick: InstigatorTick | None, now: datetime
) -> dict[str, Json]:
    data = state.instigator_data
    started = data.start_timestamp if isinstance(data, ScheduleInstigatorData) else None
    failed = tick is not None and tick.status == TickStatus.FAILURE
    ticked = tick.timestamp if tick is not None else None
    # A failed tick has not launched its run, so the schedule is due since that tick.
    last = max(ticked or 0.0, started or 0.0) or now.timestamp()
    due = ticked if failed and ticked else _next(schedule, last)
    return {
        "name": schedule.name,
        "due_in_seconds": due - now.timestamp(),
        "last_tick_seconds_ago": now.timestamp() - ticked if ticked else None,
        "error": message_of(tick.error) if failed and tick is not None and tick.error else None,
    }


def _next(schedule: dg.ScheduleDefinition, after: float) -> float:
    # The iterator starts with a time equal to its argument, which would be the last tick.
    times = schedule_execution_time_iterator(after + 1, schedule.cron_schedule, schedule.execution_timezone or "UTC")
    return next(times).timestamp()
