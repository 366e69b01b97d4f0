"""`BrowserJob`: a component that makes a browser job of the queue an asset with a schedule.

type: cogo_dagster.BrowserJob
attributes:
asset: site/front_page
url: https://example.com
actions:
- {do: wait_for, selector: "h1"}
- {do: extract, name: title, selector: "h1"}
schedule: "0 6 * * *"
"""

from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import Field, ValidationError

from cogo_dagster.dagster_support.cogo_queue import CogoQueue
from cogo_dagster.executors.browser.payload import BrowserPayload
from cogo_dagster.queue.model import NewJob
from cogo_dagster.validation import validation_messages


class BrowserJob(dg.Component, dg.Model, dg.Resolvable):
    """A browser job of the queue as an asset. Materializing it enqueues the job, waits, and records its artifacts."""

    asset: Annotated[str, Field(description="Asset key; parts are separated by slashes.")]
    url: Annotated[str, Field(description="URL to open; http or https.")]
    actions: list[dict[str, Any]] = Field(
        default_factory=list, description="Actions on the page, in order, as in the payload of a browser job."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Other fields of the payload: viewport, pdf, full_page, extra_headers and others.",
    )
    schedule: Annotated[str | None, Field(description="Cron schedule; default: none.")] = None
    timezone: Annotated[str, Field(description="Time zone of the schedule.")] = "UTC"
    schedule_status: Annotated[Literal["running", "stopped"], Field(description="Default status of the schedule.")] = (
        "running"
    )
    executor_id: Annotated[str | None, Field(description="Executor ID that the job is addressed to.")] = None
    max_attempts: Annotated[int, Field(ge=1, le=1_000, description="Maximum number of attempts.")] = 3
    timeout_seconds: Annotated[float, Field(gt=0, description="Maximum wait for the job, all attempts included.")] = (
        3_600
    )
    group: Annotated[str | None, Field(description="Group of the asset.")] = None
    description: Annotated[str | None, Field(description="Description of the asset; default: the URL.")] = None
    owners: list[str] = Field(default_factory=list, description="Owners of the asset.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """Return the asset, and its schedule if there is one.

        Raises:
            DagsterInvalidDefinitionError: The payload is invalid.
        """
        key = dg.AssetKey(self.asset.split("/"))
        job = NewJob("browser", self._payload(), executor_id=self.executor_id, max_attempts=self.max_attempts)
        name, seconds = "__".join(key.path), self.timeout_seconds

        @dg.asset(
            key=key,
            group_name=self.group,
            kinds={"html"},
            owners=self.owners,
            description=self.description or f"Artifacts of the browser at {self.url}.",
        )
        def page(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            with CogoQueue().opened() as queue:
                return dg.MaterializeResult(metadata=queue.run(job, context, timeout_seconds=seconds).metadata)

        return dg.Definitions(assets=[page], schedules=self._schedules(f"{name}_schedule", key))

    def _payload(self) -> dict[str, Any]:
        payload = {**self.options, "url": self.url, "actions": self.actions}
        try:
            BrowserPayload.model_validate(payload)
        except ValidationError as error:
            raise dg.DagsterInvalidDefinitionError(f"BrowserJob {self.asset}: {validation_messages(error)}") from None
        return payload

    def _schedules(self, name: str, key: dg.AssetKey) -> list[dg.ScheduleDefinition]:
        if self.schedule is None:
            return []
        running = self.schedule_status == "running"
        return [
            dg.ScheduleDefinition(
                name=name,
                target=dg.AssetSelection.assets(key),
                cron_schedule=self.schedule,
                execution_timezone=self.timezone,
                default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
            )
        ]
