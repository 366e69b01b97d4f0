"""Decisions of sensors, as pure functions, and their conversion to the results of Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from cogo_dagster.formatting.values import counted
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.dead_letters import DeadLetter
from cogo_dagster.supervision.capacity import Demand, recovery_needed, workers_to_start
from cogo_dagster.supervision.replays import ReplayPolicy, is_transient, jobs_to_replay


@dataclass(frozen=True, slots=True)
class Decision:
    """What to launch.

    Attributes:
        reason: Skip reason if `runs` is 0.
        runs: Number of runs to request.
        op_config: Configuration of each run, by op.
    """

    reason: str
    runs: int = 0
    op_config: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


def start_workers(demand: Demand, max_workers: int) -> Decision:
    """Decide how many runs of process_jobs to launch."""
    reason = (
        f"Jobs: {demand.ready} due, {demand.orphaned} orphaned. "
        f"Workers: {demand.workers_alive} alive, {demand.workers_starting} starting."
    )
    return Decision(reason, workers_to_start(demand, max_workers))


def recover(demand: Demand, expired_leases: int) -> Decision:
    """Decide whether to launch recover_leases."""
    reason = "A live or starting worker recovers them." if expired_leases else "Nothing to recover."
    expired = counted(expired_leases, "expired lease")
    return Decision(f"{expired}. {reason}", 1 if recovery_needed(demand, expired_leases) else 0)


def replay(dead_lettered: Sequence[DeadLetter], op_name: str, now: datetime, *, under_way: bool) -> Decision:
    """Decide whether to launch replay_dlq, and with which dead-lettered jobs.

    Args:
        dead_lettered: The open dead-lettered jobs.
        op_name: The op that is configured with the IDs of the jobs.
        under_way: Whether a replay is queued or running.
    """
    chosen = jobs_to_replay(dead_lettered, ReplayPolicy(), now)
    if not chosen:
        transient = sum(map(is_transient, dead_lettered))
        return Decision(
            f"{counted(len(dead_lettered), 'open dead-lettered job')}, {transient} with a transient error; none is due."
        )
    if under_way:
        return Decision("A replay is queued or running.")
    job_ids = [str(job.job_id) for job in chosen]
    return Decision("", 1, {op_name: {"job_ids": job_ids, "skip_unfit": True}})


def launch(kind: str, decision: Decision) -> dg.SensorResult:
    """Convert a decision to the result of a tick.

    Args:
        kind: Prefix of the run keys.
    """
    if not decision.runs:
        return dg.SensorResult(skip_reason=dg.SkipReason(decision.reason))
    ops = {name: {"config": dict(config)} for name, config in decision.op_config.items()}
    run_config = {"ops": ops} if ops else None
    # A counter in the cursor would restart after a reset, and Dagster skips run keys that it has seen.
    keys = [f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}" for _ in range(decision.runs)]
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=key, run_config=run_config) for key in keys])
