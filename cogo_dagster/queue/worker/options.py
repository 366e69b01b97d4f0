"""The options of a worker and the report it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How one worker operates.

    Attributes:
        concurrency: Maximum number of jobs running at once.
        lease_seconds: Length of a lease; it is renewed every third of that.
        grace_seconds: How long running jobs may continue after a stop request before they are requeued.
        max_jobs: End after claiming this many jobs; None for no limit.
        run_seconds: Stop claiming after this time; None for no limit.
        linger_seconds: End once no job was due or held for this time; None to wait without limit.
        poll_seconds: Time between two claims that found nothing, ± 25 %.
        woken_poll_seconds: The same while wake-ups arrive; None takes `poll_seconds`.
        heartbeat_seconds: Time between two heartbeats.
        recover_seconds: Time between two recoveries of expired leases, ± 25 %.
        sweep_seconds: Time between two sweeps of abandoned artifacts.
        unknown_object_seconds: Minimum age of objects without a row that a sweep deletes.
        job_timeout_seconds: Timeout of one attempt of a job without its own timeout.
        store_wait_seconds: How long finished attempts wait for an artifact store that is unavailable.
        store_check_seconds: Time between two checks of an unavailable store.
        stuck_seconds: End once the event loop was blocked, or no claim succeeded, for this time.
        secrets: Values that are redacted from errors and logs.
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
    unknown_object_seconds: float = 3_600
    job_timeout_seconds: float = 3600
    store_wait_seconds: float = 600
    store_check_seconds: float = 5
    stuck_seconds: float = 120
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker did from its start to its end.

    Attributes:
        counters: `claimed`, `succeeded`, `retried`, `failed` (permanently), `snoozed`, `requeued`, `cancelled`,
            `lease_lost`, `recovered`.
        ended_because: `drained`, `max_jobs`, `run_seconds`, `stopped`, `slots_lost` (half of the slots are taken by
            executions that do not end; another process should take over).
    """

    counters: Mapping[str, int]
    elapsed_seconds: float
    ended_because: str
