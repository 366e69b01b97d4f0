"""What a worker is told before it starts, and what it reports at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How one worker works.

    Attributes:
        concurrency: Jobs running at once.
        lease_seconds: Length of a lease; renewed every third of it.
        grace_seconds: At a stop, how long running jobs may go on before they are requeued.
        max_jobs: Claim no more than this many, then end; None for no limit.
        run_seconds: Stop claiming after this long; None for no limit.
        linger_seconds: End once nothing was due this long and no job is held; None to wait for ever.
        poll_seconds: Wait between two claims that found nothing, give or take a quarter.
        woken_poll_seconds: The same while calls wake the worker; None takes `poll_seconds`.
        heartbeat_seconds: Wait between two heartbeats.
        recover_seconds: Wait between two recoveries of others' expired leases, give or take a quarter.
        sweep_seconds: Wait between two sweeps of abandoned artifacts.
        job_timeout_seconds: Longest run of one attempt of a job that names no timeout of its own.
        store_wait_seconds: How long finished work is kept while the artifact store is not available.
        store_check_seconds: Wait between two checks of a store that is not available.
        stuck_seconds: End once the event loop was blocked, or nothing could be claimed, for so long.
        secrets: Values that must not stand in errors and logs, whatever an executor says.
    """

    concurrency: int = 4
    lease_seconds: int = 60
    grace_seconds: float = 25
    max_jobs: int | None = None
    run_seconds: float | None = None
    linger_seconds: float | None = None
    poll_seconds: float = 2
    woken_poll_seconds: float | None = None
    heartbeat_seconds: float = 10
    recover_seconds: float = 5
    sweep_seconds: float = 60
    job_timeout_seconds: float = 3600
    store_wait_seconds: float = 600
    store_check_seconds: float = 5
    stuck_seconds: float = 120
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker did from its start to its end.

    Attributes:
        counters: `claimed`, `succeeded`, `retried`, `failed` (for good), `snoozed`, `requeued`, `cancelled`,
            `lease_lost`, `recovered`.
        ended_because: `drained`, `max_jobs`, `run_seconds`, `stopped`, `slots_lost` (half of the slots are taken by
            executions that do not end: another process should go on).
    """

    counters: Mapping[str, int]
    elapsed_seconds: float
    ended_because: str
