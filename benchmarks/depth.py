"""The time of each call at two depths of the queue.

    uv run python -m benchmarks.depth [--finished 10000000] [--queued 1000000] [--rounds 5]

There are two databases: one with 100,000 finished jobs and a tenth of them queued, and one of the given size.
Finished jobs are spread over 60 days, 200,000 (or a tenth) of them with the same time; 1 in 50 failed. Both have 20,000
open dead-lettered jobs and as many worker starts as a 33rd of the finished jobs, over 105 days. The numbers of finished
periods are stored and the dead-lettered jobs are alerted first, as workers and sensors do it.

The table has the processor time of the database session, which other load on the machine changes little, and the
longest response.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.server import BenchServer, bench_server
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Json

SMALL: Final = 100_000
MAX_SECONDS: Final = 1.0
CHUNK: Final = 500_000

_INDEXES: Final = """
    select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
    where indrelid = 'public.jobs'::regclass and not exists (select from pg_constraint where conindid = indexrelid)
"""
_FINISHED: Final = """
    insert into public.jobs (id, type, status, attempts, payload, created_at, next_run_at, claimed_at, started_at,
                             finished_at, run_seconds, lease_token, worker_id, result, error)
    select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000'
            || lpad(to_hex(n), 12, '0'))::uuid,
           case when n %% 3 = 0 then 'browser.pdf' else 'browser' end,
           case when n %% 50 = 0 then 'failed' when n %% 500 = 1 then 'cancelled' else 'succeeded' end, 1,
           jsonb_build_object('url', 'https://example.com/' || n), at - interval '3 s', at - interval '3 s',
           at - interval '2 s', at - interval '2 s' + n %% 997 * interval '1 ms', at, 1 + n %% 50 / 10.0,
           gen_random_uuid(), 'w' || n %% 20, '{"title": "A page"}',
           case when n %% 50 = 0 then jsonb_build_object('class', (array['timeout', 'dns'])[1 + n %% 2],
               'message', 'It failed at https://example.com/' || n %% 1000) end
    from generate_series(%(first)s, %(last)s) n,
         lateral (select case when n <= %(same)s then now() - interval '60 days'
                              else now() - interval '60 days' * (%(rows)s - n) / %(rows)s end) as t (at)
"""
_QUEUED: Final = """
    insert into public.jobs (type, priority, payload, next_run_at)
    select (array['browser', 'browser.pdf', 'figma'])[1 + n %% 3], n %% 10, '{"url": "https://example.com"}',
           now() + (n %% 2) * interval '1 hour' - interval '10 minutes'
    from generate_series(1, %(rows)s) n
"""
_OTHERS: Final = (
    """
    insert into public.jobs_dlq (job_id, type, payload, attempts, max_attempts, reason, error, failed_at, created_at)
        select id, type, payload, 1, 5, 'permanent', error, finished_at, finished_at
        from public.jobs where status = 'failed' order by id desc limit 20000""",
    # Those whose jobs were purged, where fewer failed.
    """
    insert into public.jobs_dlq (job_id, type, payload, attempts, max_attempts, reason, error, failed_at, created_at)
        select gen_random_uuid(), 'browser', '{}', 1, 5, 'permanent', d.error, d.failed_at, d.failed_at
        from public.jobs_dlq d cross join generate_series(1, 10)
        limit 20000 - (select count(*) from public.jobs_dlq)""",
    """
    insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at, stopped_at)
        select 'w' || n % 1000, '{browser}', 4, at, at, case when n > 20 then at end
        from generate_series(1, ROWS / 33) n, lateral (select now() - n * 33 * interval '105 days' / ROWS) as t (at)""",
    "update public.workers set dagster_run_id = gen_random_uuid() where random() < 0.5",
    """
    insert into public.artifacts (job_id, name, content_type, size_bytes, sha256, storage_key, status, created_at)
        select id, 'page.png', 'image/png', 1000, repeat('0', 64), 'jobs/' || id, 'ready', finished_at
        from public.jobs where status in ('failed', 'cancelled')""",
    """
    insert into public.operations_log (id, operation, actor, filter, changed, created_at)
        select gen_random_uuid(), 'retry_failed', 'me', '{}', 1, now() - n * interval '1 hour'
        from generate_series(1, 9000) n""",
    """
    insert into public.worker_metrics (instance_id, worker_id, counters, latency)
        select instance_id, worker_id, '{"claimed": 100, "succeeded": 90}',
               '{"bounds_seconds": [0.1, 1, 10], "counts": [1, 2, 3, 4], "sum_seconds": 12}' from public.workers""",
    "vacuum analyze",
)

CALLS: Final[dict[str, tuple[str, dict[str, Json]]]] = {
    "queue_stats": ("queue_stats", {}),
    "queue_numbers": ("queue_numbers", {}),
    "explain_queue": ("explain_queue", {}),
    "count_jobs": ("count_jobs", {}),
    "job_history": ("job_history", {}),
    "gate_summary, 24 hours": ("gate_summary", {}),
    "weekly_numbers": ("weekly_numbers", {}),
    "worker_totals": ("worker_totals", {}),
    "list_workers": ("list_workers", {}),
    "list_workers, alive": ("list_workers", {"alive_only": True}),
    "registered_families": ("registered_families", {}),
    "list_jobs": ("list_jobs", {}),
    "list_jobs, queued": ("list_jobs", {"statuses": ["queued"]}),
    "list_jobs, failed": ("list_jobs", {"statuses": ["failed"]}),
    "list_jobs, failed or cancelled": ("list_jobs", {"statuses": ["failed", "cancelled"]}),
    "list_jobs, failed, a type that does not exist": ("list_jobs", {"statuses": ["failed"], "type_prefix": "none"}),
    "list_jobs, a type that does not exist": ("list_jobs", {"type_prefix": "none"}),
    "search_jobs": ("search_jobs", {}),
    "search_jobs, succeeded": ("search_jobs", {"statuses": ["succeeded"]}),
    "search_jobs, a type that does not exist": ("search_jobs", {"type_prefix": "none"}),
    "search_jobs, words that do not exist": ("search_jobs", {"words": "no such words"}),
    "find_jobs, the end of an ID": ("find_jobs", {"part": "fedcba98"}),
    "query_jobs, an attempt that does not exist": ("query_jobs", {"filter": {"attempts": ["fedcba98"]}}),
    "list_dlq": ("list_dlq", {}),
    "list_incidents": ("list_incidents", {}),
    "list_artifacts": ("list_artifacts", {}),
    "list_operations": ("list_operations", {}),
    "list_alerts": ("list_alerts", {}),
    "next_due": ("next_due", {"families": ["browser", "figma"]}),
    "health_facts": ("health_facts", {}),
    "database_health": ("database_health", {}),
    "held_snapshot": ("held_snapshot", {}),
    "evaluate_alerts": ("evaluate_alerts", {}),
    "recover_leases": ("recover_leases", {}),
    "roll_up_jobs": ("roll_up_jobs", {}),
    "delete_old_rows, 200 of each table": (
        "delete_old_rows",
        {"days": {"workers": 30, "operations": 300, "dead_letters": 180}, "batch_size": 200},
    ),
    "purge_jobs, dry run, a page of 1,000": ("purge_jobs", {"older_than_days": 30}),
    "purge_jobs, 1,000 jobs": ("purge_jobs", {"older_than_days": 30, "dry_run": False}),
    "claim_jobs, 8 jobs": ("claim_jobs", {"families": [{"family": "browser", "max_jobs": 8}], "max_jobs": 8}),
}

Taken: TypeAlias = tuple[float, float]
"""The seconds of processor time and the seconds until the response of a call."""


def main() -> None:
    """Fill the databases, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=10_000_000)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = [(SMALL, SMALL // 10), (options.finished, options.queued)]
    with ExitStack() as kept:
        server = kept.enter_context(bench_server())
        filled = [_filled(server, *size) for size in sizes]
        sessions = [kept.enter_context(_session(dsn)) for dsn in filled]
        rows = {
            name: [[_taken(session, *call) for _ in range(options.rounds)] for session in sessions]
            for name, call in CALLS.items()
        }
        print(f"\nLoad {os.getloadavg()[0]:.1f}; milliseconds of {options.rounds} calls.\n")
        shown = [f"{finished:,} finished, {queued:,} queued" for finished, queued in sizes]
        print(f"| call | CPU, {' | CPU, '.join(shown)} | ratio | longest response |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, taken in rows.items():
            print(_row(name, *taken))
        print(f"\n{_purged_together(sessions[-1])}")
    slow = [name for name, (_, taken) in rows.items() if statistics.median(wall for _, wall in taken) > MAX_SECONDS]
    if slow:
        raise SystemExit(f"Over {MAX_SECONDS:g} s: {', '.join(slow)}")


def _filled(server: BenchServer, finished: int, queued: int) -> str:
    """Fill a database of this size, store the numbers of its periods, and return its URL."""
    name = f"depth_{finished}"
    server.admin.execute(f"create database {name}".encode())
    migrate(server.dsn(name))
    with psycopg.connect(server.dsn(name), autocommit=True) as owner:
        _fill(owner, finished, queued)
        began = time.perf_counter()
        owner.execute("insert into public.job_period_marks values (now(), '3')")
        row = owner.execute("select public.roll_up_jobs(3600)").fetchone()
        owner.execute("select cogo_internal.add_ended_workers() from generate_series(0, %s)", (finished // 33_000,))
        while owner.execute("select (public.evaluate_alerts() ->> 'more')::boolean").fetchone() == (True,):
            pass
        print(f"roll_up_jobs: {row and row[0]} in {time.perf_counter() - began:.0f} s", flush=True)
        owner.execute("vacuum analyze")
    return server.dsn(name)


def _fill(owner: "psycopg.Connection[Any]", finished: int, queued: int) -> None:
    began = time.perf_counter()
    owner.execute("set synchronous_commit = off")
    owner.execute("set maintenance_work_mem = '512MB'")
    indexes = owner.execute(_INDEXES).fetchall()
    for name, _ in indexes:
        owner.execute(f"drop index {name}".encode())
    same = min(200_000, finished // 10)
    for first in range(1, finished + 1, CHUNK):
        last = min(first + CHUNK - 1, finished)
        owner.execute(_FINISHED, {"first": first, "last": last, "rows": finished, "same": same})
    owner.execute(_QUEUED, {"rows": queued})
    for _, definition in indexes:
        owner.execute(definition.encode())
    for statement in _OTHERS:
        owner.execute(statement.replace("ROWS", str(finished)).encode())
    owner.execute("checkpoint")
    print(f"{finished:,} finished and {queued:,} queued jobs in {time.perf_counter() - began:.0f} s", flush=True)


@contextmanager
def _session(dsn: str) -> "Iterator[psycopg.Connection[Any]]":
    """Open a session with the rights of workers."""
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("set role service_role")
        yield session


def _taken(session: "psycopg.Connection[Any]", function: str, arguments: dict[str, Json]) -> Taken:
    """Call a function and return what it took."""
    types = FUNCTIONS[function]
    given = arguments | ({"claim_id": str(uuid4()), "worker_id": "w"} if function == "claim_jobs" else {})
    passed = ", ".join(f"{name} := %({name})s::{types[name]}" for name in given)
    values = {name: Jsonb(value) if types[name] == "jsonb" else value for name, value in given.items()}
    used, began = _cpu_seconds(session), time.perf_counter()
    session.execute(f"select public.{function}({passed})".encode(), values).fetchone()
    return _cpu_seconds(session) - used, time.perf_counter() - began


def _cpu_seconds(session: "psycopg.Connection[Any]") -> float:
    """Return the processor time of the session's server process so far; only Linux reports it in nanoseconds."""
    return int(Path(f"/proc/{session.info.backend_pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _row(name: str, small: list[Taken], large: list[Taken]) -> str:
    """Return a row of the table: medians of the processor time, their ratio, and the longest response."""
    times = [statistics.median(cpu for cpu, _ in taken) * 1000 for taken in (small, large)]
    longest = max(wall for _, wall in large) * 1000
    return f"| {name} | {times[0]:,.1f} | {times[1]:,.1f} | {times[1] / times[0]:.1f} | {longest:,.0f} |"


def _purged_together(session: "psycopg.Connection[Any]") -> str:
    """Return the duration of a dry run and a purge of all jobs that finished at the same time."""
    began, after, found = time.perf_counter(), None, 0
    query = 'select public.purge_jobs(59.9, \'["succeeded", "failed", "cancelled"]\', dry_run => %s, after => %s)'
    while page := _page(session, query, dry_run=True, after=after)["items"]:
        found += len(page)
        after = Jsonb({"at": page[-1]["finished_at"], "id": page[-1]["id"]})
    listed, deleted = time.perf_counter(), 0
    while changed := _page(session, query, dry_run=False, after=None)["changed"]:
        deleted += changed
    return (
        f"{found:,} jobs of which most finished together: listed by a dry run in {listed - began:.0f} s, "
        f"{deleted:,} purged in {time.perf_counter() - listed:.0f} s, 1,000 per call."
    )


def _page(session: "psycopg.Connection[Any]", query: str, *, dry_run: bool, after: Jsonb | None) -> Json:
    row = session.execute(query.encode(), (dry_run, after)).fetchone()
    assert row is not None
    return row[0]


if __name__ == "__main__":
    main()
