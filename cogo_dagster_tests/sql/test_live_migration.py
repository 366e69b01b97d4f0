"""A migration of a queue in use: it waits for locks one second at a time and causes no deadlock."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import psycopg
import pytest

from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.migrate import editor_script, migrate, schema_objects, status
from cogo_dagster.queue.schema_indexes import INDEXES, build_indexes
from cogo_dagster.queue.schema_scripts import REPLACED, drop_script, lock_script
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.sql.outsiders import rights_of_outsiders

ENQUEUE = 'select public.enqueue_jobs(\'[{"type": "browser", "payload": {}}]\')'

LOCKS = """
select relation::regclass::text, mode from pg_locks
where pid = pg_backend_pid() and locktype = 'relation' and relation >= 16384 and mode <> 'AccessShareLock'
  and (select relkind from pg_class where oid = relation) = 'r'
"""

WAITS = "select %s = any (pg_blocking_pids(pid)) from pg_stat_activity where application_name = 'cogo migrate'"

_LOOK_SECONDS: Final = 0.02
"""The migration waits for locks for 0.9 s and pauses for up to 1.5 s; a look takes two milliseconds."""


@pytest.fixture
def behind(owner: Owner) -> Owner:
    """Return a database without the records of the migrations that change jobs and artifacts."""
    owner.execute(
        "delete from supabase_migrations.schema_migrations where version in ('20261125000000', '20261125010000');"
        " update public.deployment set functions_digest = 'older'"
    )
    return owner


@pytest.fixture
def other(dsn: str) -> Iterator[psycopg.Connection]:
    """Open a session that holds its locks until it commits."""
    with psycopg.connect(dsn) as connection:
        yield connection


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Run the migration concurrently with the test."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_the_editor_script_run_again_locks_no_table(other: psycopg.Connection) -> None:
    """It takes no lock that blocks readers or writers."""
    other.execute(editor_script().replace("begin;\n", "").replace("commit;\n", "").encode())
    assert other.execute(LOCKS).fetchall() == []


def test_the_editor_script_run_again_ignores_open_transactions(
    dsn: str, owner: Owner, other: psycopg.Connection
) -> None:
    """It does not wait for an idle transaction that locks all tables as a writer does."""
    for table in schema_objects().tables:
        other.execute(f"lock table public.{table} in row exclusive mode".encode())
    owner.execute("set statement_timeout = '10s'")
    owner.execute(editor_script().encode())


def test_the_command_run_again_ignores_open_transactions(dsn: str, other: psycopg.Connection) -> None:
    """If only functions have changed, it needs no lock of a table."""
    other.execute("update public.deployment set functions_digest = 'older'")
    other.commit()
    for table in schema_objects().tables:
        other.execute(f"lock table public.{table} in row share mode".encode())
    assert not migrate(dsn).current


def test_a_migration_behind_an_idle_reader_lets_the_queue_work(
    dsn: str, behind: Owner, other: psycopg.Connection, thread: ThreadPoolExecutor
) -> None:
    """No enqueue waits three seconds, and the migration ends once the reader has committed."""
    other.execute("select count(*) from public.jobs").fetchall()
    migrating = thread.submit(migrate, dsn)
    behind.execute("set statement_timeout = '3s'")
    for _ in range(3):
        _wait_until_blocked(other, behind, migrating)
        behind.execute(ENQUEUE)
    other.commit()
    assert len(migrating.result().pending) == 2
    assert status(dsn).current


def test_the_editor_script_behind_an_idle_reader_lets_the_queue_work(
    dsn: str, behind: Owner, other: psycopg.Connection, thread: ThreadPoolExecutor
) -> None:
    """It releases its locks between attempts, as the command does."""
    other.execute("select count(*) from public.jobs").fetchall()

    def run() -> None:
        with psycopg.connect(dsn, autocommit=True, application_name="cogo migrate") as connection:
            connection.execute(editor_script().encode())

    migrating = thread.submit(run)
    behind.execute("set statement_timeout = '3s'")
    for _ in range(2):
        _wait_until_blocked(other, behind, migrating)
        behind.execute(ENQUEUE)
    other.commit()
    migrating.result()
    assert status(dsn).current


def test_a_worker_that_locks_tables_in_another_order_is_not_aborted(
    dsn: str, behind: Owner, other: psycopg.Connection, thread: ThreadPoolExecutor
) -> None:
    """The worker holds jobs and requests artifacts, which the migration holds while it waits for jobs."""
    other.execute("lock table public.jobs in row exclusive mode")
    migrating = thread.submit(migrate, dsn)
    _wait_until_blocked(other, behind, migrating)
    other.execute("lock table public.artifacts in row exclusive mode")
    other.commit()
    assert not migrating.result().current
    assert status(dsn).current


def test_a_migration_that_cannot_lock_a_table_names_the_holder(owner: Owner, other: psycopg.Connection) -> None:
    """The error names the process, the table and its state."""
    other.execute("select count(*) from public.jobs").fetchall()
    once = lock_script({"1": ["jobs"]}, schema_objects(), recorded=False).replace("1 .. 20", "1 .. 1")
    with pytest.raises(psycopg.errors.ObjectInUse, match=rf"process {other.info.backend_pid} holds jobs \(idle in tr"):
        owner.execute(once.encode())


def test_indexes_are_built_while_jobs_are_written(
    dsn: str, owner: Owner, other: psycopg.Connection, thread: ThreadPoolExecutor
) -> None:
    """The build waits for a transaction in progress, and no enqueue waits for the build."""
    _before_the_indexes(owner)
    other.execute("insert into public.jobs (type) values ('browser')")
    migrating = thread.submit(migrate, dsn)
    owner.execute("set statement_timeout = '3s'")
    waits = (
        "select exists (select from pg_stat_activity "
        "where query like 'create index concurrently%' and wait_event_type = 'Lock')"
    )
    while owner.execute(waits.encode()).fetchone() != (True,):
        assert not migrating.done()
        time.sleep(_LOOK_SECONDS)
    for _ in range(3):
        owner.execute(ENQUEUE)
    other.commit()
    migrating.result()
    assert _indexes(owner) == dict.fromkeys(INDEXES, True)


def test_an_index_that_could_not_be_built_is_built_by_the_next_migration(
    dsn: str, owner: Owner, other: psycopg.Connection
) -> None:
    """A long transaction prevents it; the message says what to do, and the queue works."""
    _before_the_indexes(owner)
    other.execute("insert into public.jobs (type) values ('browser')")
    with pytest.raises(QueueError, match="run `cogo db migrate` again"):
        build_indexes(owner, lock_timeout="100ms")
    assert _indexes(owner) == {"jobs_finished": True, "jobs_succeeded": False}
    owner.execute(ENQUEUE)
    other.commit()
    migrate(dsn)
    assert _indexes(owner) == dict.fromkeys(INDEXES, True)


def _before_the_indexes(owner: Owner) -> None:
    for name in INDEXES:
        owner.execute(f"drop index public.{name}".encode())
    owner.execute(
        "create index jobs_finished on public.jobs (status, finished_at) "
        "where status in ('succeeded', 'failed', 'cancelled')"
    )


def _indexes(owner: Owner) -> dict[str, bool]:
    """Return the indexes that are built after a migration or replaced by them, and whether they are valid."""
    found = owner.execute(
        "select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid "
        "where c.relnamespace = 'public'::regnamespace and c.relname = any (%s)",
        ([*INDEXES, "jobs_finished"],),
    )
    return dict(found.fetchall())


def test_a_replaced_function_stays_during_earlier_calls(dsn: str, owner: Owner, other: psycopg.Connection) -> None:
    """It exists while an earlier transaction runs, and the next migration drops it."""
    _replace(owner, "public.called_before()")
    other.execute("select public.called_before()")
    owner.execute(drop_script(1).replace("10 seconds", "0 seconds").encode())
    assert other.execute("select public.called_before()").fetchone() == (1,)
    other.commit()
    assert migrate(dsn).current
    assert owner.execute("select to_regproc('public.called_before')").fetchone() == (None,)


def test_a_replaced_function_that_a_view_calls_stays(owner: Owner) -> None:
    """Other replaced functions are dropped."""
    _replace(owner, "public.called_before()")
    _replace(owner, "public.viewed_before()")
    owner.execute("create view public.depends_on_it as select public.viewed_before()")
    owner.execute(drop_script(1).encode())
    found = owner.execute("select to_regproc('public.called_before'), to_regproc('public.viewed_before')::text")
    assert found.fetchone() == (None, "viewed_before")


def test_the_script_corrects_changed_rights(owner: Owner) -> None:
    """It corrects policies, row level security, and rights on tables, columns, sequences and functions."""
    owner.execute(
        "create policy open_to_anon on public.jobs to anon using (true); grant all on public.jobs to anon;"
        " alter table public.alerts disable row level security; grant select (id) on public.artifacts to public;"
        " grant usage on sequence public.worker_heartbeats_id_seq to authenticated;"
        " grant execute on function public.queue_stats to anon; revoke all on public.paused from service_role"
    )
    owner.execute(editor_script().encode())
    assert rights_of_outsiders(owner) == []
    assert owner.execute("select has_table_privilege('service_role', 'public.paused', 'insert')").fetchone() == (True,)


def _replace(owner: Owner, function: str) -> None:
    owner.execute(f"create function {function} returns int language sql as 'select 1'".encode())
    owner.execute(f"comment on function {function} is '{REPLACED}'".encode())


def _wait_until_blocked(blocker: psycopg.Connection, looking: Owner, migrating: "Future[Any]") -> None:
    while not any(blocked for (blocked,) in looking.execute(WAITS, (blocker.info.backend_pid,))):
        assert not migrating.done(), f"It did not wait: {migrating.result()}"
        time.sleep(_LOOK_SECONDS)
