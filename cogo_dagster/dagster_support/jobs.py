"""What all Dagster jobs have in common."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.run_status import max_runtime

OWNERS: Final = ["team:cogo-operations"]
"""Who looks after the definitions; Dagster shows it on their pages."""


def one_op_job(op: dg.OpDefinition, description: str, max_seconds: float) -> dg.JobDefinition:
    """Return a job of one op, with the op's name.

    Args:
        max_seconds: Dagster ends a run that lasts longer.
    """
    graph = dg.GraphDefinition(name=op.name, node_defs=[op])
    return graph.to_job(hooks=HOOKS, description=description, tags=max_runtime(max_seconds), owners=OWNERS)
