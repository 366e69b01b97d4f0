"""What all Dagster jobs have in common."""

import dagster as dg

from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.run_status import max_runtime


def one_op_job(op: dg.OpDefinition, description: str, max_seconds: float) -> dg.JobDefinition:
    """Return a job of one op, with the op's name.

    Args:
        max_seconds: Dagster ends a run that lasts longer.
    """
    # Names of ops and graphs are one namespace in Dagster; the graph's own is shown nowhere.
    graph = dg.GraphDefinition(name=f"{op.name}_graph", node_defs=[op])
    return graph.to_job(name=op.name, hooks=HOOKS, description=description, tags=max_runtime(max_seconds))
