"""The operators' Dagster jobs, one op each."""

from typing import Final

from cogo_dagster.dagster_support.jobs import one_op_job
from cogo_dagster.defs.operators import ops

BULK_SECONDS: Final = 3_600
"""How long a bulk operation may last: then Dagster ends the run. What was done stays, and the next run goes on."""

REPLAY_SECONDS: Final = 1_800
"""As BULK_SECONDS, for replay_dlq: dlq_replay waits for no run that is older."""

RECOVERY_SECONDS: Final = 900
"""As BULK_SECONDS, for recover_leases."""

retry_failed = one_op_job(
    ops.retry_failed,
    "Put failed jobs back into the queue, as `cogo retry failed`. A dry run unless told otherwise.",
    BULK_SECONDS,
)

replay_dlq = one_op_job(
    ops.replay_dlq, "Put dead letters back into the queue, each once, as `cogo replay dlq`.", REPLAY_SECONDS
)

recover_leases = one_op_job(
    ops.recover_leases,
    "Take back jobs whose lease expired. Workers do this by themselves; this is for when none is alive.",
    RECOVERY_SECONDS,
)

cleanup_artifacts = one_op_job(
    ops.cleanup_artifacts, "Let artifacts go whose time is up, as `cogo cleanup artifacts`.", BULK_SECONDS
)

purge_jobs = one_op_job(
    ops.purge_jobs,
    "Delete jobs that ended long ago, as `cogo purge jobs`. A dry run unless told otherwise.",
    BULK_SECONDS,
)
