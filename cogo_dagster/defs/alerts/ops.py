"""The op that delivers alerts."""

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.resources import CogoResource


class DeliverConfig(dg.Config):
    """How long a pass may last."""

    max_seconds: float = Field(45, gt=0, le=600, description="End after so long; what is left waits for the next pass.")


@dg.op(description="Turn what went wrong into alerts, and deliver what is due.")
def deliver_alerts(context: dg.OpExecutionContext, config: DeliverConfig, cogo: CogoResource) -> None:
    """Do one pass. A target that fails is an alert of its own for the others, not a failure of this run."""
    report = cogo.application.alerts.deliver(config.max_seconds)
    for attempt in report.attempts:
        if attempt.receipt.sentence:
            context.log.warning("%s: %s", attempt.target, attempt.receipt.sentence)
    context.add_output_metadata({**report.promoted, "delivered": report.delivered, "failed": report.failed})
