"""Builds the indexes of large tables after a migration, without blocking writers."""

from typing import Final

import psycopg
from psycopg.rows import TupleRow

from cogo_dagster.queue.connect import first_line
from cogo_dagster.queue.errors import QueueError

BUILT_LATER: Final = "select set_config('cogo.indexes_later', 'on', true)"
"""In a migration's transaction: `build_indexes` follows, so that the migration need not build the indexes itself."""

INDEXES: Final = {
    "jobs_succeeded": "jobs (finished_at, id) where status = 'succeeded'",
    "jobs_unsuccessful_finished": "jobs (status, finished_at, id) where status in ('failed', 'cancelled')",
    "jobs_succeeded_url": "jobs (md5(payload ->> 'url'), finished_at) "
    "where status = 'succeeded' and jsonb_typeof(payload -> 'url') = 'string'",
    "jobs_unsuccessful_listed": "jobs (status, id) include (type, executor_id, created_at) "
    "where status in ('failed', 'cancelled')",
    "artifacts_expired": "artifacts (created_at) where status = 'expired'",
}
"""Table, columns and condition of indexes, by name."""

REPLACED: Final = ("jobs_finished", "jobs_unsuccessful")

_LOCK_KEY: Final = 0x434F474F + 2
_LOCK_TIMEOUT: Final = "60s"
"""A build waits for transactions in progress, one that is idle too."""

_FOUND: Final = """
select c.relname, i.indisvalid from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
where i.indrelid in ('public.jobs'::regclass, 'public.artifacts'::regclass)
"""


def build_indexes(connection: psycopg.Connection[TupleRow], *, lock_timeout: str = _LOCK_TIMEOUT) -> None:
    """Build the missing indexes, and drop the replaced ones. Another caller that builds them is not waited for.

    Args:
        connection: In autocommit.
        lock_timeout: Maximum time to wait for each transaction in progress.

    Raises:
        QueueError: An index could not be built; the queue works without it, more slowly.
    """
    # Not waited for: the snapshot of a waiting statement would delay the build of the other caller.
    row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
    if row != (True,):
        return
    try:
        connection.execute("select set_config('lock_timeout', %s, false)", (lock_timeout,))
        _build(connection)
    except psycopg.Error as error:
        raise QueueError(
            f"The schema is migrated, but an index could not be built ({first_line(error)}): the queue works, more "
            "slowly. End long transactions, and run `cogo db migrate` again."
        ) from error
    finally:
        connection.execute("reset lock_timeout")
        connection.execute("select pg_advisory_unlock(%s)", (_LOCK_KEY,))


def _build(connection: psycopg.Connection[TupleRow]) -> None:
    found: dict[str, bool] = dict(connection.execute(_FOUND).fetchall())
    for name, definition in INDEXES.items():
        if found.get(name):
            continue
        if name in found:  # a build that was interrupted leaves an invalid index
            connection.execute(f"drop index concurrently public.{name}".encode())
        connection.execute(f"create index concurrently {name} on public.{definition}".encode())
    for name in REPLACED:
        if name in found:
            connection.execute(f"drop index concurrently public.{name}".encode())
