"""What holds back vacuum is named, with a remedy that works."""

import psycopg

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.rows.stats import HeldSnapshot
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.held import held, report_at_once


def test_a_session_with_a_snapshot_is_named(dsn: str, queue: Queue, transport: Transport, owner: Owner) -> None:
    """Its pid, application and age are reported, and the remedy ends it."""
    assert queue.held_snapshot(0) is None
    with psycopg.connect(dsn, application_name="report") as session:
        session.execute("set transaction isolation level repeatable read")
        session.execute("select 1")
        found = queue.held_snapshot(0)
        assert found is not None
        pid = session.info.backend_pid
        assert (found.kind, found.pid, found.application) == ("session", pid, "report")
        assert found.seconds is not None
        assert found.seconds < 60
        assert f"pid {pid} (application 'report')" in found.message
        assert queue.held_snapshot() is None
        assert set(transport.call("held_snapshot", {"min_seconds": 0})) == set(HeldSnapshot.model_fields)
        command = found.remedy.split("`")[1]
        assert owner.execute(command.encode()).fetchone() == (True,)
        session.close()


def test_a_session_that_has_written_is_named(dsn: str, queue: Queue) -> None:
    """It holds no snapshot between its statements, and its transaction ID holds back vacuum as well."""
    with psycopg.connect(dsn, application_name="import") as session:
        session.execute("insert into public.jobs (type) values ('a')")
        found = queue.held_snapshot(0)
        assert found is not None
        assert found.application == "import"


def test_an_idle_transaction_without_a_snapshot_is_not_named(dsn: str, queue: Queue) -> None:
    """It holds back nothing."""
    with psycopg.connect(dsn) as session:
        session.execute("select 1")
        assert queue.held_snapshot(0) is None


def test_without_the_age_transactions_are_counted(dsn: str, transport: Transport, owner: Owner) -> None:
    """PostgreSQL hides the age from a role without the privilege."""
    with held(dsn), owner.transaction(force_rollback=True):
        owner.execute("revoke pg_read_all_stats from service_role")
        for _ in range(3):
            with owner.transaction():
                owner.execute("select pg_current_xact_id()")
        owner.execute("set local role service_role")
        [row] = owner.execute("select public.held_snapshot(0, 1000), public.held_snapshot(1000, 0)").fetchall()
        assert row[0] is None
        assert row[1]["seconds"] is None
        assert "transactions" in row[1]["message"]


def test_an_alert_fires_until_the_snapshot_has_ended(dsn: str, transport: Transport, owner: Owner) -> None:
    """It names the session and the remedy, and fires once."""
    report_at_once(owner)
    with held(dsn) as pid:
        for _ in range(2):
            transport.call("evaluate_alerts", {})
        alerts = owner.execute("select kind, status, subject, error_message from public.alerts").fetchall()
        assert [row[:3] for row in alerts] == [("snapshot_held", "firing", f"report of sales (pid {pid})")]
        assert f"pg_terminate_backend({pid})" in alerts[0][3]
    transport.call("evaluate_alerts", {})
    assert owner.execute("select status from public.alerts").fetchall() == [("resolved",)]


def replace_view(owner: Owner, view: str, row: str) -> None:
    """Let held_snapshot read one row, with the current transaction ID, instead of a view of PostgreSQL."""
    found = owner.execute(
        "select pg_get_functiondef('public.held_snapshot'::regproc), pg_current_xact_id()::xid"
    ).fetchone()
    assert found is not None
    definition, transaction = found
    owner.execute(f"create view public.held as select {row.format(transaction)}".encode())
    owner.execute("grant select on public.held to service_role")
    owner.execute(str(definition).replace(f"pg_catalog.{view}", "public.held").encode())


def test_a_prepared_transaction_is_named(transport: Transport, owner: Owner) -> None:
    """Its age counts, and the remedy rolls it back."""
    prepared = "current_database() as database, now() - interval '90 s' as prepared"
    replace_view(owner, "pg_prepared_xacts", f"{prepared}, 'import 1' as gid, '{{}}'::xid as transaction")
    found = transport.call("held_snapshot", {})
    assert (found["kind"], found["name"], found["pid"]) == ("prepared_transaction", "import 1", None)
    assert "prepared transaction 'import 1' has held a snapshot for 9" in found["message"]
    assert "rollback prepared 'import 1'" in found["remedy"]
    assert transport.call("held_snapshot", {"min_seconds": 100}) is None


def test_a_replication_slot_is_named(transport: Transport, owner: Owner) -> None:
    """A slot has no age: the transactions since its snapshot count."""
    replace_view(
        owner, "pg_replication_slots", "'standby' as slot_name, null::integer as active_pid, '{}'::xid as xmin"
    )
    found = transport.call("held_snapshot", {"min_transactions": 0})
    assert (found["kind"], found["name"], found["seconds"]) == ("replication_slot", "standby", None)
    assert "replication slot 'standby'" in found["message"]
    assert "pg_drop_replication_slot('standby')" in found["remedy"]
    assert transport.call("held_snapshot", {"min_transactions": 1000}) is None
