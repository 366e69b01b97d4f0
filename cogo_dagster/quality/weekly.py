"""The announcement of a week that is over, and the jobs that send it: the family `weekly_summary`."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from cogo_dagster.alerts.messages import Announcement
from cogo_dagster.links import week_links
from cogo_dagster.quality.gates import GateService, PublishedWeek
from cogo_dagster.quality.weeks import finished_week, start_of
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import ExecutionFailed, Executor, ExecutorContext, InvalidPayload, Workspace
from cogo_dagster.queue.model import Enqueued, ExecutionResult, Job, Json, NewJob
from cogo_dagster.queue.rows.alerts import Announced
from cogo_dagster.settings import Settings
from cogo_dagster.validation import mistakes

_NO_TARGET = "Not sent: no alert target is configured. Set WEBHOOK_TYPE and enqueue the job again."


class Announcer(Protocol):
    """Sends an announcement to every alert target; implemented by `alerts.service.Alerts`."""

    def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:
        """Send an announcement once per key; see `Alerts.announce`."""
        ...


class Weeks:
    """Announces weeks that are over, each once.

    Args:
        alerts: Returns the announcer; called only before sending, since its libraries take 0.2 s to import.
        links: Titles and URLs in the announcement.
    """

    def __init__(
        self, gates: GateService, queue: Queue, alerts: Callable[[], Announcer], links: Mapping[str, str]
    ) -> None:
        self._gates = gates
        self._queue = queue
        self._alerts = alerts
        self._links = links

    def publish(self, week: str) -> PublishedWeek:
        """Store a week with its chart; see `GateService.publish_week`."""
        return self._gates.publish_week(week)

    def announcement(self, week: PublishedWeek) -> Announcement:
        """Return the announcement of a week, which is the same for every sender."""
        summary = week.summary
        now = summary.this_week
        verdict = {"pass": "passes", "fail": "fails", "not_computed": "is not computed"}[now.q1.verdict]
        rates = {"Gate pass rate": now.gate.pass_rate, "Job success rate": now.jobs.success_rate}
        facts = {name: "none" if rate is None else f"{rate:g} %" for name, rate in rates.items()}
        facts |= {"Gate runs": f"{now.gate.runs:,}", "Failures that ended a job": f"{now.jobs.failed:,}"}
        return Announcement(
            key=f"weekly:{summary.week}",
            kind="weekly",
            title=f"Week {summary.week}: Q1 {verdict}",
            markdown=summary.markdown,
            facts=facts,
            links=self._links,
            image_artifact_id=week.chart_artifact_id,
        )

    def announce(self, week: PublishedWeek, *, again: bool = False) -> Announced:
        """Send a week to every target; see `Alerts.announce`.

        Args:
            again: Send the week also to targets that have accepted it.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(week.summary.week, datetime.now(UTC))
        return self._alerts().announce(self.announcement(week), again=again)

    def enqueue(self, week: str, *, again: bool = False) -> Enqueued:
        """Enqueue the job that sends a week, unless a target has accepted the week or an earlier job may still send it.

        Args:
            again: Enqueue the job in any case, and send the week to all targets again.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(week, start_of(self._gates.last_week()) + timedelta(days=7))
        if again:
            return self._add({"week": week, "again": True}, f"weekly:{week}:{uuid4()}")
        key = f"weekly:{week}"
        while True:
            job = self._add({"week": week}, key)
            if job.created or not self._was_not_delivered(job.job_id, week):
                return job
            key = f"weekly:{week}:{job.job_id}"  # the key of the follow-up job is the same for concurrent callers

    def _add(self, payload: Mapping[str, Json], key: str) -> Enqueued:
        [job] = self._queue.enqueue([NewJob("weekly_summary", payload, idempotency_key=key)])
        return job

    def _was_not_delivered(self, job_id: UUID, week: str) -> bool:
        """Return whether a job has finished, and no target has accepted the week or has a pending delivery."""
        ended = any(row.status in ("succeeded", "failed", "cancelled") for row in self._queue.get_jobs([job_id]))
        return ended and not self._queue.transport.call("announcement_is_settled", {"key": f"weekly:{week}"})


class WeeklyPayload(BaseModel):
    """The payload of `weekly_summary` jobs.

    Attributes:
        again: Send the week also to targets that have accepted it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    week: str
    again: bool = False

    @field_validator("week")
    @classmethod
    def _is_over(cls, week: str) -> str:
        try:
            return finished_week(week, datetime.now(UTC))
        except InvalidArgument as error:
            raise ValueError(str(error)) from None


class WeeklySummaryExecutor(Executor, family="weekly_summary"):
    """Computes or loads a week, stores its chart, and announces the week; a repeated run does not announce it again."""

    slots = 1

    def __init__(self, weeks: Weeks) -> None:
        self._weeks = weeks

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:
        """Build the executor for the context's queue."""
        gates = GateService.of(context.settings, context.queue.transport, context.store)
        return cls(Weeks(gates, context.queue, lambda: _alerts(context), week_links(context.settings)))

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:  # noqa: ARG003 - not needed
        """Validate the payload and return it."""
        return _parse(type, payload).model_dump(exclude_defaults=True)

    @classmethod
    def payload_model(cls, type: str) -> type[WeeklyPayload]:  # noqa: ARG003 - there is only one type
        """Return the model of the payloads."""
        return WeeklyPayload

    def parse(self, type: str, payload: Json) -> WeeklyPayload:
        """Parse the payload."""
        return _parse(type, payload)

    async def execute(self, job: Job[WeeklyPayload], workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - no file is written
        """Store and announce one week."""
        try:
            week = await asyncio.to_thread(self._weeks.publish, job.payload.week)
            announced = await asyncio.to_thread(self._weeks.announce, week, again=job.payload.again)
        except InvalidArgument as error:
            raise ExecutionFailed(str(error), error_class="invalid_week", retryable=False) from error
        title = self._weeks.announcement(week).title
        result = {"week": job.payload.week, "title": title, "chart_artifact_id": week.chart_artifact_id}
        if not announced.targets:
            return ExecutionResult(
                result | {"announced": False, "reason": _NO_TARGET, "announcement": announced.document}
            )
        return ExecutionResult(result | {"announced": True, "announcement": announced.document})


def _parse(type: str, payload: Json) -> WeeklyPayload:
    try:
        return WeeklyPayload.model_validate(payload)
    except ValidationError as error:
        reasons = [f"{mistake.reason}." for mistake in mistakes(error) if mistake.kind == "value_error"]
        example = f'The payload of a {type} job must be like {{"week": "2026-W47"}}.'
        raise InvalidPayload(" ".join([*reasons, example])) from None


def _alerts(context: ExecutorContext) -> Announcer:
    from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415 - importing it takes 0.2 s
    from cogo_dagster.vault.build import build_vault  # noqa: PLC0415 - as above

    transport, settings = context.queue.transport, context.settings
    return Alerts(transport, settings, build_vault(transport, settings, settings.env).get)
