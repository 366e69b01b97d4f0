"""The time of each call at two depths of the queue.

    uv run python -m benchmarks.depth [--finished 10000000] [--queued 1000000] [--rounds 5]

There are two databases in turn: one with 100,000 finished jobs and a tenth of them queued, and one of the given size.
Finished jobs are spread over 60 days, 200,000 (or a tenth) of them with the same time; 1 in 50 failed. The numbers of
finished periods are stored first, as workers do it.
"""

import argparse
import os
import statistics
import time
from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.server import bench_server
from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Json

SMALL: Final = 100_000
MAX_SECONDS: Final = 1.0
CHUNK: Final = 500_000

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
    """
    insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at, stopped_at)
        select 'w' || n % 1000, '{browser}', 4, now() - n * interval '30 s', now() - n * interval '30 s',
               now() - n * interval '30 s' from generate_series(1, ROWS / 33) n""",
    """
    insert into public.worker_metrics (instance_id, worker_id, counters, latency)
        select instance_id, worker_id, '{"claimed": 100, "succeeded": 90}',
               '{"bounds_seconds": [0.1, 1, 10], "counts": [1, 2, 3, 4], "sum_seconds": 12}' from public.workers""",
    "vacuum analyze",
)

CALLS: Final[dict[str, tuple[str, dict[str, Json]]]] = {
    "queue_stats": ("queue_stats", {}),
    "queue_numbers": ("queue_numbers", {}),
    "count_jobs": ("count_jobs", {}),
    "job_history": ("job_history", {}),
    "gate_summary, 24 hours": ("gate_summary", {}),
    "weekly_numbers": ("weekly_numbers", {}),
    "worker_totals": ("worker_totals", {}),
    "list_workers": ("list_workers", {}),
    "list_jobs": ("list_jobs", {}),
    "list_jobs, queued": ("list_jobs", {"statuses": ["queued"]}),
    "list_jobs, failed": ("list_jobs", {"statuses": ["failed"]}),
    "list_jobs, failed or cancelled": ("list_jobs", {"statuses": ["failed", "cancelled"]}),
    "search_jobs": ("search_jobs", {}),
    "search_jobs, succeeded": ("search_jobs", {"statuses": ["succeeded"]}),
    "search_jobs, a type that does not exist": ("search_jobs", {"type_prefix": "none"}),
    "search_jobs, words that do not exist": ("search_jobs", {"words": "no such words"}),
    "list_dlq": ("list_dlq", {}),
    "list_incidents": ("list_incidents", {}),
    "next_due": ("next_due", {"families": ["browser", "figma"]}),
    "health_facts": ("health_facts", {}),
    "database_health": ("database_health", {}),
    "evaluate_alerts": ("evaluate_alerts", {}),
    "recover_leases": ("recover_leases", {}),
    "purge_jobs, dry run, a page of 1,000": ("purge_jobs", {"older_than_days": 30}),
    "purge_jobs, 1,000 jobs": ("purge_jobs", {"older_than_days": 30, "dry_run": False}),
    "claim_jobs, 8 jobs": ("claim_jobs", {"families": [{"family": "browser", "max_jobs": 8}], "max_jobs": 8}),
}


def main() -> None:
    """Fill the databases, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=10_000_000)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = [(SMALL, SMALL // 10), (options.finished, options.queued)]
    tables = [_measured(*size, options.rounds) for size in sizes]
    print(f"\nLoad {os.getloadavg()[0]:.1f}; milliseconds, median (maximum) of {options.rounds} calls.\n")
    print("| call | " + " | ".join(f"{finished:,} finished, {queued:,} queued" for finished, queued in sizes) + " |")
    print("| --- |" + " ---: |" * len(sizes))
    for name in tables[0]:
        print(f"| {name} | " + " | ".join(_shown(table[name]) for table in tables) + " |")
    slow = [name for name, taken in tables[-1].items() if statistics.median(taken) > MAX_SECONDS]
    if slow:
        raise SystemExit(f"Over {MAX_SECONDS:g} s: {', '.join(slow)}")


def _measured(finished: int, queued: int, rounds: int) -> dict[str, list[float]]:
    """Fill a database of this size and return the seconds of each call."""
    with bench_server() as server:
        server.admin.execute("create database depth")
        dsn = server.dsn("depth")
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as owner:
            _fill(owner, finished, queued)
            for _ in range(3):
                began = time.perf_counter()
                row = owner.execute("select public.roll_up_jobs(3600)").fetchone()
                print(f"roll_up_jobs: {row and row[0]} in {time.perf_counter() - began:.1f} s", flush=True)
            for _ in range(finished // 33 // 1000):
                owner.execute("select public.roll_up_jobs(0)")
            owner.execute("vacuum analyze public.worker_metrics")
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("set role service_role")
            return {name: [_seconds(session, *call) for _ in range(rounds)] for name, call in CALLS.items()}


def _fill(owner: "psycopg.Connection[Any]", finished: int, queued: int) -> None:
    began = time.perf_counter()
    owner.execute("set synchronous_commit = off")
    same = min(200_000, finished // 10)
    for first in range(1, finished + 1, CHUNK):
        last = min(first + CHUNK - 1, finished)
        owner.execute(_FINISHED, {"first": first, "last": last, "rows": finished, "same": same})
    owner.execute(_QUEUED, {"rows": queued})
    for statement in _OTHERS:
        owner.execute(statement.replace("ROWS", str(finished)).encode())
    owner.execute("checkpoint")
    print(f"{finished:,} finished and {queued:,} queued jobs in {time.perf_counter() - began:.0f} s", flush=True)


def _seconds(session: "psycopg.Connection[Any]", function: str, arguments: dict[str, Json]) -> float:
    """Return the duration of one call."""
    types = FUNCTIONS[function]
    given = arguments | ({"claim_id": str(uuid4()), "worker_id": "w"} if function == "claim_jobs" else {})
    passed = ", ".join(f"{name} := %({name})s::{types[name]}" for name in given)
    values = {name: Jsonb(value) if types[name] == "jsonb" else value for name, value in given.items()}
    began = time.perf_counter()
    session.execute(f"select public.{function}({passed})".encode(), values).fetchone()
    return time.perf_counter() - began


def _shown(taken: list[float]) -> str:
    return f"{statistics.median(taken) * 1000:,.1f} ({max(taken) * 1000:,.1f})"


if __name__ == "__main__":
    main()
