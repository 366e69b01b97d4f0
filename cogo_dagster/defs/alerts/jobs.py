"""The Dagster job that delivers alerts."""

from typing import Final

from cogo_dagster.dagster_support.jobs import one_op_job
from cogo_dagster.defs.alerts import ops

_DELIVERING_SECONDS: Final = 900

deliver_alerts = one_op_job(
    ops.deliver_alerts,
    "Raise and deliver alerts, as `cogo alerts deliver`, for manual use. The sensor undelivered_alerts, `cogo web` and "
    "`cogo worker` deliver periodically.",
    _DELIVERING_SECONDS,
)
