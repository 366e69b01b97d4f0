"""Which schedules are on, and when each is due to tick after its last tick."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, ScheduleInstigatorData, TickStatus
from dagster._utils.schedules import schedule_execution_time_iterator

from cogo_dagster.queue.model import Json


def watched_schedules(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> list[dict[str, Json]]:
    """Return the running schedules of the project as `watch_schedules` takes them.

    A schedule that was never seen by the daemon has no state and cannot be late.
    """
    names = {schedule.name: schedule for schedule in repository.schedule_defs}
    found = []
    for state in _running(instance):
        schedule = names.get(state.instigator_name)
        if schedule is not None:
            found.append(_watched(schedule, state, _last_tick(instance, state), now))
    return found


def _running(instance: dg.DagsterInstance) -> Iterator[InstigatorState]:
    seen: set[str] = set()
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
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
    # A tick that failed did not do what the schedule is for: it is due since then.
    last = max(ticked or 0.0, started or 0.0) or now.timestamp()
    due = ticked if failed and ticked else _next(schedule, last)
    return {
        "name": schedule.name,
        "due_in_seconds": due - now.timestamp(),
        "last_tick_seconds_ago": now.timestamp() - ticked if ticked else None,
        "error": tick.error.message if failed and tick is not None and tick.error else None,
    }


def _next(schedule: dg.ScheduleDefinition, after: float) -> float:
    # The iterator begins with a time that fits exactly, which is the tick that was.
    times = schedule_execution_time_iterator(after + 1, schedule.cron_schedule, schedule.execution_timezone or "UTC")
    return next(times).timestamp()
