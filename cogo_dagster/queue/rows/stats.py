"""Statistics of the queue and the database."""

from datetime import datetime
from uuid import UUID

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeNumber


class QueueStats(Row):
    """Statistics of the queue; numbers of waiting jobs stop at 10,000 per lane.

    Attributes:
        ready: Queued jobs that are due and not paused.
        waiting: Queued jobs that are not due yet.
        running_by_instance: Running jobs by worker instance; "" for claims without one.
        oldest_ready_seconds: How long the oldest ready job has been due.
    """

    ready: int
    ready_by_family: dict[str, int]
    oldest_ready_seconds: float
    waiting: int
    running: int
    running_by_instance: dict[str, int]
    expired_leases: int
    paused: int
    dlq_open: int
    succeeded_24h: int
    failed_24h: int
    workers_alive: int
    slots_alive: int
    slots_free: int


class SchemaVersion(Row):
    """The release of a database's schema, and the deployment.

    Attributes:
        oldest_client_release: The oldest release of the code that works with it; None for the schema's own only.
        functions_digest: Digest of the applied SQL function files.
    """

    release: int
    oldest_client_release: int | None = None
    deployment_id: UUID
    functions_digest: str | None = None


class HeldSnapshot(Row):
    """What has held back vacuum for the longest time; see the SQL function `held_snapshot`.

    Attributes:
        kind: `session`, `prepared_transaction` or `replication_slot`.
        seconds: How long; None if PostgreSQL does not tell it.
        transactions: How many transactions began since.
    """

    kind: str
    seconds: float | None
    transactions: int
    pid: int | None
    application: str | None
    name: str | None
    message: str
    remedy: str


class HealthFacts(Row):
    """The facts that `cogo doctor` checks.

    Attributes:
        held_snapshot: None if no snapshot is held for longer than a minute.
        silent_workers: The name of each worker that fell silent within the last day, at most 100.
        orphaned_jobs: Running jobs whose lease expired long ago.
        unreadable_secrets: Secrets encrypted with a key that the caller does not have.
    """

    now: datetime
    server_version: str
    connections: int
    max_connections: int
    silent_workers: list[str]
    orphaned_jobs: int
    oldest_orphan_seconds: MaybeNumber
    held_snapshot: HeldSnapshot | None = None
    secrets: int
    unreadable_secrets: int


class DatabaseHealth(Row):
    """Statistics of the database itself.

    Attributes:
        jobs_live: Live row versions of the table jobs.
        jobs_dead: Row versions that vacuum has not removed.
    """

    jobs_live: int
    jobs_dead: int
    oldest_transaction_seconds: float
    transaction_id_age: int
    size_bytes: int
