"""Helpers for the definition of Dagster jobs."""

import dagster as dg

from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.run_status import max_runtime


def one_op_job(op: dg.OpDefinition, description: str, max_seconds: float) -> dg.JobDefinition:
    """Return a Dagster job with one op, under the op's name.

    Args:
        max_seconds: Dagster ends a longer run.
    """
    # Ops and graphs share one namespace in Dagster; the name of the graph is not displayed.
    graph = dg.GraphDefinition(name=f"{op.name}_graph", node_defs=[op])
    return graph.to_job(name=op.name, hooks=HOOKS, description=description, tags=max_runtime(max_seconds))
