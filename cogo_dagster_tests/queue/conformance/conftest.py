"""Fixtures that run each test on every PostgreSQL version and over every transport; add new transports to TRANSPORTS.

These tests only read and write rows, so all share one database, which is emptied before each test, and the
transport's connections are kept. That is ten times faster than a database per test.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

import psycopg
import pytest

from cogo_dagster.queue.model import Settlement
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.conftest import Owner, assert_disconnected
from cogo_dagster_tests.servers import Major, TestServer
from cogo_dagster_tests.supabase.rest import RestTransport

TRANSPORTS: dict[str, Callable[[str], Transport]] = {
    "postgres": partial(PostgresTransport, role="service_role"),
    "supabase": RestTransport,
}

TABLES = (
    "access_tokens",
    "alert_cursors",
    "alert_deliveries",
    "alert_promotions",
    "alert_silences",
    "alert_targets",
    "alerts",
    "artifact_stores",
    "artifacts",
    "bulk_action_jobs",
    "bulk_actions",
    "ended_claims",
    "ended_worker_totals",
    "deadman",
    "executors",
    "gate_runs",
    "gate_snapshots",
    "job_attempts",
    "job_measures",
    "job_period_marks",
    "job_period_sums",
    "job_periods",
    "jobs",
    "jobs_dlq",
    "operations_log",
    "paused",
    "provider_health",
    "providers",
    "rate_limits",
    "run_failures",
    "secrets",
    "watched_conditions",
    "watched_schedules",
    "web_sessions",
    "weekly_summaries",
    "worker_devices",
    "worker_heartbeats",
    "worker_metrics",
    "workers",
)


Case = tuple[Major, str]
"""A version and the name of a transport."""

CASES: list[Case] = [(15, "postgres"), *((18, name) for name in TRANSPORTS)]
"""Every version and every transport. How a call arrives does not depend on the version: the tests of alerts run all
pairs."""


def _name(case: Case) -> str:
    return f"pg{case[0]}-{case[1]}"


BY_VERSION = pytest.mark.parametrize(
    "case", [case for case in CASES if case[1] == "postgres"], indirect=True, ids=_name
)
"""For tests of what the database computes from many rows, and of direct connections: each version, one transport."""

_CALLS = frozenset({"call", "function", "operation", "settled_by"})
"""Parameters of tests that choose the function that is called."""

_VALUES_OF_ALL_KINDS = ("test_limits.py", "test_unreadable_rows.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Execute over REST only the first of the tests that call a function with different values.

    Each transport passes all arguments as one JSON document, whose values the database converts and checks.
    """
    here = Path(__file__).parent
    over_rest = [item for item in items if item.path.parent == here and _params(item).get("case") == (18, "supabase")]
    repeated = repeated_calls(item for item in over_rest if item.path.name not in _VALUES_OF_ALL_KINDS)
    items[:] = [item for item in items if item not in repeated]


def repeated_calls(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Return the tests that differ from an earlier one in values only."""
    known: set[tuple[object, ...]] = set()
    repeated: set[pytest.Item] = set()
    for item in items:
        calls = tuple(value for name, value in sorted(_params(item).items()) if name in _CALLS)
        key = (item.path, item.location[2].partition("[")[0], *calls)
        if key in known:
            repeated.add(item)
        known.add(key)
    return repeated


def _params(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


@pytest.fixture(params=CASES, ids=_name)
def case(request: pytest.FixtureRequest) -> Case:
    """Run every test of this folder on both versions and over each transport."""
    chosen: Case = request.param
    return chosen


@pytest.fixture
def major(case: Case) -> Major:
    """Return the version of PostgreSQL."""
    return case[0]


@pytest.fixture(scope="session")
def databases(servers: Callable[[Major], TestServer]) -> Iterator[Callable[[Major], str]]:
    """Create one database per version for all tests of this folder."""
    with ExitStack() as kept:

        @cache
        def dsn_of(major: Major) -> str:
            return kept.enter_context(servers(major).clone("migrated"))

        yield dsn_of


@pytest.fixture(scope="session")
def emptied(databases: Callable[[Major], str]) -> Iterator[Callable[[Major], str]]:
    """Empty the database of a version over an open connection, which is ten times faster than a new one."""
    with ExitStack() as kept:

        @cache
        def connection_to(major: Major) -> Owner:
            return kept.enter_context(emptying(databases(major)))

        def emptied_of(major: Major) -> str:
            empty(connection_to(major))
            return databases(major)

        yield emptied_of


@pytest.fixture(scope="session")
def transports(databases: Callable[[Major], str]) -> Iterator[Callable[[str, Major], Transport]]:
    """Keep each transport to each version open, and close all at the end."""
    used: set[str] = set()
    with ExitStack() as kept:

        @cache
        def transport_to(name: str, major: Major) -> Transport:
            used.add(databases(major))
            transport = TRANSPORTS[name](databases(major))
            kept.callback(transport.close)
            return transport

        yield transport_to
    for dsn in used:
        assert_disconnected(dsn)


@pytest.fixture
def dsn(emptied: Callable[[Major], str], major: Major) -> str:
    """Yield the URL of the shared database, emptied."""
    return emptied(major)


@pytest.fixture
def transport(case: Case, dsn: str, transports: Callable[[str, Major], Transport]) -> Transport:
    """Return the transport, with the privileges of service_role only."""
    return transports(case[1], case[0])


_FILLED = ", ".join(f"case when exists (select from public.{table}) then '{table}' end" for table in TABLES)
_DELETES = " ".join(
    f"if filled[{number}] is not null then delete from public.{table}; end if;"
    for number, table in enumerate(TABLES, 1)
)
_EMPTY = f"""
create function pg_temp.empty() returns setof text language plpgsql as $$
declare filled text[] := array[{_FILLED}];
begin
  {_DELETES}
  return query select t from unnest(filled) t where pg_relation_size('public.' || t) > 500000;
end $$
"""


@contextmanager
def emptying(dsn: str) -> Iterator[Owner]:
    """Open a connection for `empty`, with a function that keeps its plans and deletes from filled tables only."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_EMPTY.encode())
        yield connection


def empty(connection: Owner) -> None:
    """Delete all rows, and vacuum large tables: the deleted rows of a large test would slow down all later tests."""
    for (table,) in connection.execute("select pg_temp.empty()", prepare=True).fetchall():
        connection.execute(f"vacuum public.{table}".encode())


@pytest.fixture(params=["columns", "documents"])
def settled_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle successes by `succeed_jobs`, and by `settle_jobs`, which takes every outcome."""
    if request.param == "documents":
        monkeypatch.setattr(Settlement, "is_plain_success", False)
