"""A finished week as an announcement, and the jobs that make one: the family `weekly_summary`."""

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

_NO_TARGET = "It is sent nowhere, because no alert target is configured: set WEBHOOK_TYPE, and enqueue it again."


class Announcer(Protocol):
    """Sends an announcement to every alert target: `alerts.service.Alerts`."""

    def announce(self, announcement: Announcement, *, again: bool = False) -> Announced:
        """Send it once per key; see `Alerts.announce`."""
        ...


class Weeks:
    """Sends finished weeks, each once, however often it is asked.

    Args:
        alerts: Returns what sends; called when something is sent, since its libraries take 0.2 s to import.
        links: Titles and addresses that an announcement shows.
    """

    def __init__(
        self, gates: GateService, queue: Queue, alerts: Callable[[], Announcer], links: Mapping[str, str]
    ) -> None:
        self._gates = gates
        self._queue = queue
        self._alerts = alerts
        self._links = links

    def publish(self, week: str) -> PublishedWeek:
        """Return a week with its chart, both kept; see `GateService.publish_week`."""
        return self._gates.publish_week(week)

    def announcement(self, week: PublishedWeek) -> Announcement:
        """Return what is sent: the same words and the same key, whoever sends it."""
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
        """Send a week to every target; return what `Alerts.announce` does.

        Args:
            again: To those too that accepted it.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(week.summary.week, datetime.now(UTC))
        return self._alerts().announce(self.announcement(week), again=again)

    def enqueue(self, week: str, *, again: bool = False) -> Enqueued:
        """Add the job that sends a week, unless it was added before and a target accepted it, or still may.

        Args:
            again: Add it all the same, to send it to everybody once more.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(week, start_of(self._gates.last_week()) + timedelta(days=7))
        if again:
            return self._add({"week": week, "again": True}, f"weekly:{week}:{uuid4()}")
        key = f"weekly:{week}"
        while True:
            job = self._add({"week": week}, key)
            if job.created or not self._reached_nobody(job.job_id, week):
                return job
            key = f"weekly:{week}:{job.job_id}"  # one job follows the other, whoever asks at the same time

    def _add(self, payload: Mapping[str, Json], key: str) -> Enqueued:
        [job] = self._queue.enqueue([NewJob("weekly_summary", payload, idempotency_key=key)])
        return job

    def _reached_nobody(self, job_id: UUID, week: str) -> bool:
        """Whether a job has ended, and no target accepted the week or is still to be sent it."""
        ended = any(row.status in ("succeeded", "failed", "cancelled") for row in self._queue.get_jobs([job_id]))
        return ended and not self._queue.transport.call("announcement_is_settled", {"key": f"weekly:{week}"})


class WeeklyPayload(BaseModel):
    """Which week.

    Attributes:
        again: Send it to targets too that accepted it before.
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
    """Computes or loads the week, keeps its chart, and announces it; announced once however often it runs."""

    slots = 1

    def __init__(self, weeks: Weeks) -> None:
        self._weeks = weeks

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:
        """Make the executor for the context's queue."""
        gates = GateService.of(context.settings, context.queue.transport, context.store)
        return cls(Weeks(gates, context.queue, lambda: _alerts(context), week_links(context.settings)))

    @classmethod
    def validate(cls, type: str, payload: Json, settings: Settings) -> dict[str, Json]:  # noqa: ARG003 - needs none
        """Return the payload, checked."""
        return _parsed(type, payload).model_dump(exclude_defaults=True)

    def parse(self, type: str, payload: Json) -> WeeklyPayload:
        """Read the payload."""
        return _parsed(type, payload)

    async def execute(self, job: Job[WeeklyPayload], workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - it writes no file
        """Send one week."""
        try:
            week = await asyncio.to_thread(self._weeks.publish, job.payload.week)
            answer = await asyncio.to_thread(self._weeks.announce, week, again=job.payload.again)
        except InvalidArgument as error:
            raise ExecutionFailed(str(error), error_class="invalid_week", retryable=False) from error
        title = self._weeks.announcement(week).title
        result = {"week": job.payload.week, "title": title, "chart_artifact_id": week.chart_artifact_id}
        if not answer.targets:
            return ExecutionResult(result | {"announced": False, "reason": _NO_TARGET, "announcement": answer.document})
        return ExecutionResult(result | {"announced": True, "announcement": answer.document})


def _parsed(type: str, payload: Json) -> WeeklyPayload:
    try:
        return WeeklyPayload.model_validate(payload)
    except ValidationError as error:
        reasons = [f"{one.reason}." for one in mistakes(error) if one.kind == "value_error"]
        example = f'The payload of a {type} job names a week: {{"week": "2026-W47"}}.'
        raise InvalidPayload(" ".join([*reasons, example])) from None


def _alerts(context: ExecutorContext) -> Announcer:
    from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415 - 0.2 s, which workers without such jobs save
    from cogo_dagster.vault.build import build_vault  # noqa: PLC0415 - as above

    transport, settings = context.queue.transport, context.settings
    return Alerts(transport, settings, build_vault(transport, settings, settings.env).get)
