"""Response times of pages and endpoints with a long history.

    uv run python -m benchmarks.web

There are two databases on one server: one with 20,000 jobs, and one with 1,000,000. In both, 10,000 finished in the
last 24 hours, and 10,000 older ones failed, so that lists of failures have full pages and counts of them read as many
rows. Requests alternate between them, so that other load affects both; numbers are not cached between requests. The
median with the long history should be at most twice that of the short history; the 95th percentile is printed too.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import psycopg

from benchmarks.server import bench_server
from cogo_dagster.bootstrap import Application
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import load_settings
from cogo_dagster.web.app import create_app
from cogo_dagster.web.serve import listening, serving

RECENT: Final = 10_000
MAX_RATIO: Final = 2.0
SIZES: Final = (20_000, 1_000_000)
OLD_FAILURES: Final = 10_000

_FILL: Final = """
    set synchronous_commit = off;
    set maintenance_work_mem = '512MB';
    create temp table made as
        select n, ended, (lpad(to_hex(floor(extract(epoch from ended) * 1000)::bigint), 12, '0') || '70008000'
                          || lpad(to_hex(n), 12, '0'))::uuid as id,
               case when n <= {recent} and n % 100 = 7 or n > {recent} and n % {each} = 0 then 'failed'
                    when n % 100 = 8 then 'cancelled' else 'succeeded' end as status,
               case when n % 1000 = 3 then 'figma' when n % 3 = 0 then 'browser.pdf' else 'browser' end as type,
               (array['timeout', 'http_status', 'dns', 'crashed', 'ValueError'])[1 + n / 100 % 5] as class
        from (select n, case when n <= {recent} then now() - n * interval '86000 s' / {recent}
                             else now() - interval '1 day' - (n - {recent}) * interval '90 days' / {rows} end as ended
              from generate_series(1, {rows}) n) times;
    insert into public.jobs (id, type, status, attempts, payload, created_at, next_run_at, claimed_at, started_at,
                             finished_at, run_seconds, lease_token, worker_id, result, error)
        select id, type, status, 1, jsonb_build_object('url', 'https://example.com/' || n), ended - interval '3 s',
               ended, ended - interval '2 s', ended - interval '2 s', ended, 1 + n % 50 / 10.0, gen_random_uuid(),
               'w' || n % 20, '{{"title": "A page"}}',
               case when status = 'failed' then jsonb_build_object('class', class, 'retryable', false, 'detail', null,
                   'message', 'It went wrong at https://example.com/' || n || ' in step ' || n % 7) end
        from made order by id;
    insert into public.jobs_dlq (job_id, type, payload, attempts, max_attempts, reason, error, failed_at, created_at)
        select id, type, payload, 1, 5, 'permanent', error, finished_at, finished_at
        from public.jobs where status = 'failed';
    insert into public.artifacts (job_id, attempt, name, content_type, size_bytes, sha256, storage_key, status,
                                  created_at, ready_at)
        select id, 1, 'page.html', 'text/html', 100, md5(id::text), 'jobs/' || id, 'ready', ended, ended
        from made where n % 10 = 0;
    insert into public.gate_runs (id, type, status, branch, commit_sha, created_at)
        select gen_random_uuid(), 'gate', case when n % 5 = 0 then 'fail' else 'pass' end, 'main', md5(n::text),
               now() - n * interval '30 minutes' from generate_series(1, 4000) n;
    insert into public.jobs (type, payload)
        select 'browser', '{{"url": "https://example.com"}}' from generate_series(1, 200);
    insert into public.workers (worker_id, families, concurrency, started_at, last_heartbeat_at)
        select 'w' || n % 20, '{{browser}}', 4, now() - n * interval '1 hour', now() - (n - 1) * interval '1 hour'
        from generate_series(1, 300) n;
    insert into public.worker_metrics (instance_id, worker_id, counters, latency)
        select instance_id, worker_id, '{{"claimed": 100, "succeeded": 90}}',
               '{{"bounds_seconds": [0.1, 1, 10], "counts": [1, 2, 3, 4], "sum_seconds": 12}}' from public.workers;
    drop table made
"""


TOKEN: Final = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Case:
    """A path to request, and its name in the table."""

    name: str
    path: str


CASES: Final = (
    Case("overview", "/dashboard/local"),
    Case("jobs", "/dashboard/jobs"),
    Case("jobs, failed", "/dashboard/jobs?q=status:failed"),
    Case("jobs, type browser, error timeout", "/dashboard/jobs?q=type:browser+status:failed+error:timeout"),
    Case("jobs, a rare type", "/dashboard/jobs?q=type:figma"),
    Case("jobs, queued", "/dashboard/jobs?q=status:queued"),
    Case("jobs, text", "/dashboard/jobs?q=example.com/77"),
    Case("jobs, an attempt", "/dashboard/jobs?q=attempt:{attempt}"),
    Case("jobs, failed yesterday", "/dashboard/jobs?q=error:timeout+finished:yesterday"),
    Case("jobs, of a host", "/dashboard/jobs?q=host:host-1+status:failed"),
    Case("jobs, a value of the payload", "/dashboard/jobs?q=payload.url:https://example.com/77*"),
    Case("jobs, oldest first", "/dashboard/jobs?q=-type:figma+sort:oldest"),
    Case("jobs, dead-lettered, of a cause", "/dashboard/jobs?q=is:dead-lettered+cause:{cause}"),
    Case("one job", "/dashboard/jobs/{job}"),
    Case("dead-lettered jobs", "/dashboard/dlq"),
    Case("dead-lettered jobs of a cause", "/dashboard/dlq?fingerprint={cause}"),
    Case("a dead-lettered job", "/dashboard/jobs/{failed}"),
    Case("new job", "/dashboard/jobs/new"),
    Case("workers", "/dashboard/workers"),
    Case("a worker", "/dashboard/workers?name=w1"),
    Case("gate", "/dashboard/gate"),
    Case("week", "/dashboard/weeks"),
    Case("week before", "/dashboard/weeks?week={last_week}"),
    Case("history, 24 h", "/dashboard/history"),
    Case("history, 30 d", "/dashboard/history?range=30d"),
    Case("history by type, 24 h", "/dashboard/history?by=type"),
    Case("history by type, 7 d", "/dashboard/history?range=7d&by=type"),
    Case("history by type, 30 d", "/dashboard/history?range=30d&by=type"),
    Case("alerts", "/dashboard/alerts"),
    Case("log", "/dashboard/log"),
    Case("bulk actions", "/dashboard/actions"),
    Case("API jobs", "/api/jobs"),
    Case("API one job", "/api/jobs/{job}"),
    Case("API dead-lettered jobs", "/api/dlq"),
    Case("API incidents", "/api/dlq/incidents"),
    Case("API artifacts", "/api/artifacts"),
    Case("API workers", "/api/workers"),
    Case("API counts", "/api/metrics/jobs/counts"),
    Case("API history", "/api/metrics/jobs/history"),
    Case("/metrics", "/metrics"),
    Case("/readyz", "/readyz"),
)


@dataclass(frozen=True)
class Site:
    """A running web server on one database, with the ids of a job, its attempt, a cause and a failed job."""

    client: httpx.Client
    job: str
    attempt: str
    cause: str
    failed: str

    def seconds(self, case: Case) -> float:
        """Return the duration of one request."""
        last_week = f"{datetime.now(UTC) - timedelta(days=7):%G-W%V}"
        path = case.path.format(
            job=self.job, attempt=self.attempt, cause=self.cause, failed=self.failed, last_week=last_week
        )
        started = time.perf_counter()
        response = self.client.get(path)
        taken = time.perf_counter() - started
        if response.status_code != 200:
            raise SystemExit(f"{path} responded with {response.status_code}: {response.text[:300]}")
        return taken


@contextmanager
def site(dsn: str, rows: int) -> Iterator[Site]:
    """Fill a database and run a web server on it."""
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as owner:
        for statement in _FILL.format(rows=rows, recent=RECENT, each=(rows - RECENT) // OLD_FAILURES).split(";\n"):
            owner.execute(statement.encode())
        # As workers do: periods before a mark are stored, and no transaction is older than this one.
        owner.execute("insert into public.job_period_marks values (now(), '3')")
        owner.execute("select public.roll_up_jobs(3600)")
        owner.execute("vacuum analyze")
        job = _text(owner, "select id from public.jobs where status = 'succeeded' order by id desc limit 1")
        attempt = _text(
            owner, "select lease_token from public.jobs where status = 'succeeded' order by id desc limit 1"
        )
        failed = _text(owner, "select job_id from public.jobs_dlq order by failed_at desc limit 1")
        cause = _text(owner, "select fingerprint from public.jobs_dlq limit 1")
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        settings = load_settings(COGO_DATABASE_URL=dsn, COGO_HOME=home, QUALITY_NOTIFY_ADMIN_TOKEN=TOKEN)
        transport = PostgresTransport(dsn)
        stack.callback(transport.close)
        application = Application(settings, dsn, transport, Queue(transport), FolderStore(Path(home)))

        @contextmanager
        def opened() -> Iterator[Application]:
            yield application

        app = create_app(settings, opener=opened, keep_seconds=0)
        url = stack.enter_context(serving(app, stack.enter_context(listening("127.0.0.1", 0))))
        client = httpx.Client(base_url=url, timeout=60, headers={"x-admin-token": TOKEN})
        yield Site(stack.enter_context(client), job, attempt, cause, failed)


def measure(requests: int, only: str = "") -> list[dict[str, Any]]:
    """Return the 50th and 95th percentile of each case in milliseconds, for each database.

    Args:
        only: A part of the names of the cases to measure.
    """
    with bench_server() as server, ExitStack() as stack:
        sites = []
        for rows in SIZES:
            server.template(f"rows_{rows}", lambda _: None)
            sites.append(stack.enter_context(site(server.dsn(f"rows_{rows}"), rows)))
        return [_row(case, sites, requests) for case in CASES if only in case.name]


def _row(case: Case, sites: list[Site], requests: int) -> dict[str, Any]:
    for server in sites:
        for _ in range(5):
            server.seconds(case)
    taken = list(zip(*([server.seconds(case) * 1000 for server in sites] for _ in range(requests)), strict=True))
    p50, p95 = ([_quantile(times, share) for times in taken] for share in (0.5, 0.95))
    row = {"name": case.name, "p50": p50, "p95": p95, "ratio": p95[1] / p95[0], "ratio_p50": p50[1] / p50[0]}
    print(
        f"{case.name:36} {p50[0]:7.1f} {p95[0]:7.1f} {p50[1]:7.1f} {p95[1]:7.1f}  {row['ratio']:.2f}", file=sys.stderr
    )
    return row


def _quantile(values: tuple[float, ...], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def _text(connection: "psycopg.Connection[Any]", query: LiteralString) -> str:
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table for docs/performance.md."""
    lines = [
        "| | 20,000 jobs, p50 ms | p95 ms | 1,000,000 jobs, p50 ms | p95 ms | ratio of p50 | of p95 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        (a50, b50), (a95, b95) = row["p50"], row["p95"]
        times = " | ".join(f"{value:.1f}" for value in (a50, a95, b50, b95))
        lines.append(f"| {row['name']} | {times} | {row['ratio_p50']:.2f} | {row['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, and return 1 if a ratio is too high."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100, help="requests per case and database")
    parser.add_argument("--only", default="", help="measure the cases whose names contain this text")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    rows = measure(options.requests, options.only)
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    missed = [str(row["name"]) for row in rows if float(row["ratio_p50"]) > MAX_RATIO]
    print(f"Ratio above {MAX_RATIO:.0f}: {', '.join(missed)}" if missed else f"Every ratio is at most {MAX_RATIO:.0f}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
