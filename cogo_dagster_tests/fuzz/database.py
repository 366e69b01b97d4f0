"""Input of other clients of the database: invalid arguments, searches, and rows written by plain SQL."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import psycopg
from hypothesis import strategies as st

from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.errors import InvalidArgument, JobNotFound, QueueError
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.model import NewJob, Outcome, Settlement
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.qualifiers import QUALIFIERS
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.fuzz.strategies import TEXTS, as_bytes, documents
from cogo_dagster_tests.fuzz.trial import Trial
from cogo_dagster_tests.rows import every_row

_ROWS_AT_ONCE: Final = 10
_TABLES: Final = ("jobs", "jobs_dlq", "job_attempts", "artifacts", "workers", "rate_limits", "paused", "operations_log")
_READERS: Final = (
    *(
        "list_jobs",
        "search_jobs",
        "query_jobs",
        "list_dlq",
        "list_incidents",
        "list_workers",
        "list_heartbeats",
        "list_artifacts",
    ),
    *(
        "list_operations",
        "list_paused",
        "list_rate_limits",
        "queue_numbers",
        "queue_stats",
        "job_history",
        "job_history_by_type",
        "count_jobs",
    ),
)
_INTERNAL: Final = "XX"
"""The class of PostgreSQL's internal errors."""

_TIMES: Final = st.sampled_from(
    ("infinity", "-infinity", "0044-03-15 00:00:00 BC", "11026-01-01", "2026-11-27T00:00:00Z", "1900-01-01")
)
_BY_TYPE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "timestamp with time zone": _TIMES,
    "double precision": st.one_of(st.floats(), st.sampled_from(("NaN", "Infinity"))),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "boolean": st.booleans(),
    "uuid": st.uuids().map(str),
    "jsonb": documents(),
}


def arguments(trial: Trial) -> None:
    """Every function accepts its arguments or raises a QueueError; a rejected call writes nothing."""
    with _connected(trial.surroundings.dsn) as (queue, _):
        _some_rows(queue)

        def check(case: tuple[str, dict[str, Any]]) -> None:
            function, given = case
            try:
                queue.transport.call(function, given)
            except QueueError as error:
                cause = error.__cause__
                state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
                assert not (state or "").startswith(_INTERNAL), cause

        calls = st.sampled_from(sorted(FUNCTIONS)).flatmap(_call)
        trial.each(calls, check)


def searches(trial: Trial) -> None:
    """Every search text is parsed, and the database finds something or nothing."""
    with _connected(trial.surroundings.dsn) as (queue, owner):
        _some_rows(queue)
        before = every_row(owner)
        values = st.one_of(TEXTS, st.sampled_from(("2h", "failed", "queued,done", '"a b"', "%", "_", "\\", "'")))
        terms = st.builds(lambda name, value: f"{name}:{value}", st.sampled_from(sorted(QUALIFIERS)), values)

        def check(words: list[str]) -> None:
            search = JobSearch.parse(" ".join(words).encode("utf-8", "replace").decode())  # as URLs are decoded
            now = datetime.now(UTC)
            filters = search.filter("0.1.0", now)
            assert JobSearch.parse(str(search)).filter("0.1.0", now) == filters
            with contextlib.suppress(JobNotFound):  # of `action:`
                queue.query_jobs(filters)

        trial.each(st.lists(st.one_of(values, terms), max_size=5), check)
        assert every_row(owner) == before


def rows(trial: Trial) -> None:
    """With invalid rows, lists and statistics respond, and a valid job is claimed and settled."""
    with _connected(trial.surroundings.dsn) as (queue, owner):
        columns = {table: _columns(owner, table) for table in _TABLES}

        def check(several: list[tuple[str, dict[str, Any]]]) -> None:
            owner.execute("; ".join(f"delete from public.{table}" for table in _TABLES).encode())
            for table, row in several:
                _insert(owner, table, row)
            sound = queue.enqueue([NewJob("browser", {"url": "https://example.com/"}, priority=0)])[0].job_id
            for reader in _READERS:
                queue.transport.call(reader, {})
            queue.recover()
            worker = WorkerIdentity("worker", uuid4())
            families = sorted({"browser", *(str(row.get("type", "")).partition(".")[0] for _, row in several)} - {""})
            owner.execute("delete from public.paused")
            claimed = queue.claim(
                uuid4(), [ClaimRequest(family, 100) for family in families], worker, lease_seconds=60
            ).jobs
            assert sound in {job.id for job in claimed}
            for job in claimed:
                with contextlib.suppress(InvalidArgument):
                    queue.settle([Settlement(job, Outcome.SUCCEEDED)])
            looked = queue.get_truncated_job(sound)
            assert looked is not None
            assert looked.status == "succeeded"
            for function in ("retry_failed", "replay_dlq", "cleanup_artifacts", "purge_jobs", "recover_leases"):
                queue.transport.call(function, {"dry_run": True})

        row = st.sampled_from(_TABLES).flatmap(lambda table: st.tuples(st.just(table), _row(columns[table])))
        trial.each(st.lists(row, min_size=_ROWS_AT_ONCE, max_size=_ROWS_AT_ONCE), check, weight=len)


def _call(function: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    kinds = FUNCTIONS[function]
    sound = {name: st.one_of(_BY_TYPE.get(kind, TEXTS), st.none()) for name, kind in kinds.items()}
    anything = {name: documents() for name in kinds}
    some = st.one_of(st.fixed_dictionaries({}, optional=sound), st.fixed_dictionaries(sound))
    return st.tuples(st.just(function), st.one_of(some, st.fixed_dictionaries({}, optional=anything)))


def _columns(owner: Owner, table: str) -> dict[str, tuple[str, bool]]:
    found = owner.execute(
        "select attname, format_type(atttypid, null), attnotnull from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''",
        (f"public.{table}",),
    ).fetchall()
    return {name: (kind, needed) for name, kind, needed in found}


def _row(columns: dict[str, tuple[str, bool]]) -> st.SearchStrategy[dict[str, Any]]:
    values = {
        name: st.sampled_from(("queued", "running", "succeeded", "failed", "ready", "pending", "lost"))
        if name in ("status", "outcome")
        else st.sampled_from(("browser", "figma.images", "gate", "odd"))
        if name in ("type", "family")
        else _BY_TYPE.get(kind, TEXTS.map(lambda text: text.replace("\x00", "")))
        for name, (kind, _) in columns.items()
    }
    needed = {name: values[name] for name, (_, must) in columns.items() if must and name in ("id", "type", "status")}
    return st.fixed_dictionaries(needed, optional={name: one for name, one in values.items() if name not in needed})


def _insert(owner: Owner, table: str, row: dict[str, Any]) -> None:
    """Insert the row; constraints may reject it."""
    names = ", ".join(f'"{name}"' for name in row)
    document = as_bytes(row).decode("utf-8", "replace")
    statement = (
        f"insert into public.{table} ({names}) select {names} from jsonb_populate_record(null::public.{table}, %s)"
    )
    with contextlib.suppress(psycopg.Error):
        owner.execute(statement.encode(), (document,))


def _some_rows(queue: Queue) -> None:
    queue.enqueue([NewJob("browser", {"url": f"https://example.com/{n}"}) for n in range(20)])
    worker = WorkerIdentity("worker", uuid4())
    for job in queue.claim(uuid4(), [ClaimRequest("browser", 10)], worker, lease_seconds=60).jobs:
        queue.settle([Settlement(job, Outcome.SUCCEEDED, {"at": json.dumps(str(datetime.now()))})])  # noqa: DTZ005


@contextmanager
def _connected(dsn: str) -> Iterator[tuple[Queue, Owner]]:
    transport = PostgresTransport(dsn, role="service_role")
    try:
        with psycopg.connect(dsn, autocommit=True) as owner:
            yield Queue(transport), owner
    finally:
        transport.close()
