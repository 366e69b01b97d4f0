"""The queue and the database in numbers."""

from datetime import datetime
from uuid import UUID

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeNumber


class QueueStats(Row):
    """The queue in numbers; those of waiting jobs stop at 10,000 a lane.

    Attributes:
        ready: Queued jobs that are due and not paused.
        waiting: Queued jobs whose time has not come.
        running_by_instance: By the id of the worker start; "" for claims without one.
        oldest_ready_seconds: How long the oldest due job has been due.
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
    """Which release of the schema a database has, and which deployment it is.

    Attributes:
        oldest_client_release: The oldest release of the code that may work on it; None: only the schema's own.
        functions_digest: Of the SQL functions' files as they were applied last.
    """

    release: int
    oldest_client_release: int | None = None
    deployment_id: UUID
    functions_digest: str | None = None


class HealthFacts(Row):
    """What the doctor asks the database.

    Attributes:
        orphaned_jobs: Running jobs whose lease expired long ago.
        unreadable_secrets: Secrets encrypted with a key that the caller does not have.
    """

    now: datetime
    server_version: str
    connections: int
    max_connections: int
    orphaned_jobs: int
    oldest_orphan_seconds: MaybeNumber
    secrets: int
    unreadable_secrets: int


class DatabaseHealth(Row):
    """How the database itself does.

    Attributes:
        jobs_live: Row versions of the table of jobs that are in use.
        jobs_dead: Row versions that vacuum has not removed.
    """

    jobs_live: int
    jobs_dead: int
    oldest_transaction_seconds: float
    transaction_id_age: int
    size_bytes: int
