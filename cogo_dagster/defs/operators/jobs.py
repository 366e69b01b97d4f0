"""The operators' Dagster jobs, one op each."""

from typing import Final

from cogo_dagster.dagster_support.jobs import one_op_job
from cogo_dagster.defs.operators import ops

BULK_SECONDS: Final = 3_600
"""Maximum runtime of a bulk operation, after which Dagster ends the run. The next run continues."""

REPLAY_SECONDS: Final = 1_800
"""As BULK_SECONDS, for replay_dlq; the sensor dlq_replay ignores older runs."""

RECOVERY_SECONDS: Final = 900
"""As BULK_SECONDS, for recover_leases."""

retry_failed = one_op_job(
    ops.retry_failed,
    "Retry failed jobs, as `cogo retry failed`. A dry run by default.",
    BULK_SECONDS,
)

replay_dlq = one_op_job(ops.replay_dlq, "Replay dead-lettered jobs, each once, as `cogo replay dlq`.", REPLAY_SECONDS)

discard_dlq = one_op_job(
    ops.discard_dlq,
    "Discard dead-lettered jobs, as `cogo discard dlq`. A dry run by default.",
    BULK_SECONDS,
)

recover_leases = one_op_job(
    ops.recover_leases,
    "Recover jobs whose lease has expired. Workers do this themselves; for use while no worker is alive.",
    RECOVERY_SECONDS,
)

cleanup_artifacts = one_op_job(
    ops.cleanup_artifacts, "Delete expired artifacts, as `cogo cleanup artifacts`.", BULK_SECONDS
)

purge_jobs = one_op_job(
    ops.purge_jobs,
    "Delete old finished jobs, as `cogo purge jobs`. A dry run by default.",
    BULK_SECONDS,
)
