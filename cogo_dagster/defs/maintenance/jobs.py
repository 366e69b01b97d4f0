"""The Dagster job that deletes old runs."""

from cogo_dagster.dagster_support.jobs import one_op_job
from cogo_dagster.defs.maintenance import ops

prune_event_log = one_op_job(
    ops.prune_event_log,
    "Delete rows after their retention periods, and Dagster's runs and events older than two weeks, except for the "
    "history of assets.",
    2 * ops.PRUNING_SECONDS,
)
