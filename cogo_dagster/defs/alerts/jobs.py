"""The Dagster job that delivers alerts."""

from typing import Final

from cogo_dagster.dagster_support.jobs import one_op_job
from cogo_dagster.defs.alerts import ops

_DELIVERING_SECONDS: Final = 900

deliver_alerts = one_op_job(
    ops.deliver_alerts,
    "Deliver alerts, as `cogo alerts deliver`: for people. The sensor undelivered_alerts, `cogo web` and "
    "`cogo worker` deliver by themselves.",
    _DELIVERING_SECONDS,
)
