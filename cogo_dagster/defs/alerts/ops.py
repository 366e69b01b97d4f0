"""The op that delivers alerts."""

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.resources import CogoResource


class DeliverConfig(dg.Config):
    """Duration of a pass."""

    max_seconds: float = Field(45, gt=0, le=600, description="Time limit; the next pass delivers the rest.")


@dg.op(description="Raise alerts for new failures, and deliver due messages.")
def deliver_alerts(context: dg.OpExecutionContext, config: DeliverConfig, cogo: CogoResource) -> None:
    """Run one pass. A failing target raises an alert on the other targets and does not fail this run."""
    report = cogo.application.alerts.deliver(config.max_seconds)
    for attempt in report.attempts:
        if attempt.receipt.message:
            context.log.warning("%s: %s", attempt.target, attempt.receipt.message)
    context.add_output_metadata({**report.raised, "delivered": report.delivered, "failed": report.failed})
