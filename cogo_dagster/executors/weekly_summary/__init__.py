"""Jobs that tell people how a week went: the family `weekly_summary`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.executor import ExecutionFailed, ExecutorPorts, InvalidPayload, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.queue.weeks import finished_week
from cogo_dagster.settings import Settings
from cogo_dagster.validation import mistakes


class WeeklyPayload(BaseModel):
    """Which week.

    Attributes:
        again: Tell targets too that accepted it before.
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


class WeeklySummaryExecutor:
    """Computes or loads the week, keeps its chart, and announces it; announced once however often it runs."""

    family = "weekly_summary"
    slots: int | None = 1
    prefetch = 0

    def __init__(self) -> None:
        self._ports: ExecutorPorts | None = None

    def use(self, ports: ExecutorPorts) -> None:
        """Take what the system offers."""
        self._ports = ports

    def validate(self, type: str, payload: Json) -> dict[str, Json]:
        """Return the payload, checked."""
        try:
            return WeeklyPayload.model_validate(payload).model_dump(exclude_defaults=True)
        except ValidationError as error:
            reasons = [f"{one.reason}." for one in mistakes(error) if one.kind == "value_error"]
            example = f'The payload of a {type} job names a week: {{"week": "2026-W47"}}.'
            raise InvalidPayload(" ".join([*reasons, example])) from None

    async def start(self) -> None:
        """Nothing is shared between jobs."""

    async def stop(self) -> None:
        """Nothing to release."""

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - it writes no file
        """Tell one week."""
        payload = self.validate(job.type, job.payload)
        week, again = payload["week"], {"again": True} if payload.get("again") else {}
        if self._ports is None or self._ports.weekly is None:
            raise ExecutorUnavailable("weekly_summary jobs need a worker that can compute summaries.")
        try:
            told = await asyncio.to_thread(self._ports.weekly, week)
        except InvalidArgument as error:
            raise ExecutionFailed(str(error), error_class="invalid_week", retryable=False) from error
        result = {"week": week, "title": told["title"], "chart_artifact_id": told["image_artifact_id"]}
        if self._ports.announce is None:
            return ExecutionResult(result | {"announced": False, "reason": "No alert service announces here."})
        answer = await asyncio.to_thread(
            lambda: self._ports and self._ports.announce and self._ports.announce(**told, **again)
        )
        if isinstance(answer, Mapping) and not answer.get("targets", True):
            reason = (
                "It is sent nowhere, because no alert target is configured: set WEBHOOK_TYPE, and enqueue it again."
            )
            return ExecutionResult(result | {"announced": False, "reason": reason, "announcement": dict(answer)})
        return ExecutionResult(result | {"announced": True, "announcement": answer})


def build(settings: Settings) -> WeeklySummaryExecutor:  # noqa: ARG001 - as every executor's
    """Make the executor; nothing starts yet."""
    return WeeklySummaryExecutor()
