"""The gate's numbers of a day with a million attempts, compared with plain aggregates, in one run.

    uv run python -m benchmarks.gate [--attempts 1000000] [--rounds 5]

There are two plain aggregates. The whole aggregate returns the same numbers of jobs: by type, day and outcome, forced
successes separately, attempts and retries, two quantiles, the five most frequent causes. The short aggregate returns
only counts, two quantiles and the five most frequent messages. The peak memory of the server process is measured for a
tenth of the rows and for all of them, and that of this process.
"""

import argparse
import re
import resource
import statistics
import time
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.server import bench_server
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.transports.postgres import PostgresTransport

DAY: Final = "2026-10-05"

_JOBS: Final = """
insert into public.jobs (id, type, status, attempts, created_at, next_run_at, claimed_at, started_at, finished_at,
                         lease_token, result, error)
select gen_random_uuid(), (array['browser', 'browser.pdf', 'figma'])[1 + i %% 3],
    case when i %% 50 = 0 then 'failed' else 'succeeded' end, 1 + (i %% 9 = 0)::int,
    at - interval '1 hour', at - make_interval(secs => 3 + i %% 7), at - interval '2 s', at - interval '2 s', at,
    gen_random_uuid(), jsonb_build_object('title', 'Page ' || i, 'url', 'https://example.com/' || i),
    case when i %% 50 = 0 then jsonb_build_object('class', (array['timeout', 'dns', 'selector'])[1 + i %% 3],
                                                 'message', 'Page ' || i || ' did not load.') end
from generate_series(1, %(jobs)s) i,
     lateral (select %(day)s::timestamptz + make_interval(secs => 86400.0 * i / (%(jobs)s + 1))) as t (at)
"""
_SUPERSEDED: Final = """
insert into public.job_attempts (job_id, lease_token, attempt, outcome, finished_at, error)
select j.id, gen_random_uuid(), 1, 'failed', j.finished_at - interval '1 s',
       jsonb_build_object('class', 'timeout', 'message', 'Page ' || (random() * 1e6)::int || ' did not load.')
from public.jobs j where j.finished_at > %(day)s::timestamptz + interval '1 s' limit %(attempts)s
"""
_SHORT: Final = """
select
    (select row(count(*) filter (where status = 'succeeded'), count(*) filter (where status = 'failed'),
                count(*) filter (where status = 'succeeded' and attempts = 1),
                percentile_cont(array[0.5, 0.95]) within group (
                    order by greatest(date_part('epoch', started_at - next_run_at), 0))
                    filter (where status = 'succeeded'))
     from public.jobs where status in ('succeeded', 'failed', 'cancelled')
       and finished_at >= %(day)s::timestamptz and finished_at < %(day)s::timestamptz + interval '1 day'),
    (select array_agg(top.message) from (
        select error ->> 'message' as message from (
            select error from public.jobs where status = 'failed'
              and finished_at >= %(day)s::timestamptz and finished_at < %(day)s::timestamptz + interval '1 day'
            union all
            select error from public.job_attempts
            where finished_at >= %(day)s::timestamptz and finished_at < %(day)s::timestamptz + interval '1 day') f
        group by error ->> 'message' order by count(*) desc limit 5) top)
"""

_IN_DAY: Final = "finished_at >= %(day)s::timestamptz and finished_at < %(day)s::timestamptz + interval '1 day'"
_WHOLE: Final = (
    """
select type, date_trunc('day', finished_at), status, result @> '{"forced": true}', count(*),
       count(*) filter (where attempts <= 1), count(lease_token)
from public.jobs where status in ('succeeded', 'failed', 'cancelled') and IN_DAY group by 1, 2, 3, 4""",
    """
select j.type, date_trunc('day', a.finished_at), a.outcome, count(*)
from public.job_attempts a left join public.jobs j on j.id = a.job_id where a.IN_DAY group by 1, 2, 3""",
    """
select percentile_cont(array[0.5, 0.95]) within group (
    order by greatest(date_part('epoch', started_at - next_run_at), 0))
from public.jobs where status = 'succeeded' and IN_DAY""",
    """
select public.error_fingerprint(f.type, f.error), min(f.error ->> 'message'), count(*) from (
    select type, error from public.jobs where status = 'failed' and IN_DAY
    union all
    select j.type, a.error from public.job_attempts a left join public.jobs j on j.id = a.job_id where a.IN_DAY) f
group by 1 order by 3 desc limit 5""",
)


def main() -> None:
    """Fill the databases, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with bench_server() as server:
        server.template("gate", migrate)
        memory = {}
        for attempts in (options.attempts // 10, options.attempts):
            with server.clone("gate") as dsn:
                fill(dsn, attempts)
                memory[attempts] = _memory(dsn)
                if attempts == options.attempts:
                    _compare(dsn, options.rounds)
        for attempts, kib in memory.items():
            print(f"{attempts:>9,} attempts: peak memory of the server process {kib / 1024:,.0f} MiB")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Peak memory of this process: {used:,.0f} MiB.")


def fill(dsn: str, attempts: int) -> None:
    """Fill an empty database with finished attempts of one day, 5 % of them superseded, and analyze it."""
    superseded = attempts // 20
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_JOBS, {"jobs": attempts - superseded, "day": f"{DAY} 00:00+00"})
        connection.execute(_SUPERSEDED, {"attempts": superseded, "day": f"{DAY} 00:00+00"})
        connection.execute("vacuum analyze")


def _compare(dsn: str, rounds: int) -> None:
    transport = PostgresTransport(dsn)
    window = {"window_start": f"{DAY}T00:00:00Z", "window_end": "2026-10-06T00:00:00Z"}
    daily = {"kind": "daily", "window_start": f"{DAY}T00:00:00Z"}
    with psycopg.connect(dsn, autocommit=True) as connection:

        def run_statements(*statements: str) -> None:
            for statement in statements:
                text = statement.replace("a.IN_DAY", _IN_DAY.replace("fin", "a.fin")).replace("IN_DAY", _IN_DAY)
                connection.execute(text.replace("%(day)s", f"'{DAY} 00:00+00'").encode()).fetchall()

        calls = {
            "short aggregate": lambda: run_statements(_SHORT),
            "whole aggregate": lambda: run_statements(*_WHOLE),
            "gate_summary": lambda: transport.call("gate_summary", window),
            "store_gate_snapshot": lambda: transport.call("store_gate_snapshot", daily),
        }
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds + 1):  # the first round warms the cache and is not counted
            for name, call in calls.items():
                taken[name].append(_timed(call))
    transport.close()
    for name, times in taken.items():
        ratios = ", ".join(
            f"{_ratio(times, taken[f'{kind} aggregate'])} x the {kind} aggregate" for kind in ("whole", "short")
        )
        print(f"{name:20} {_seconds(times)}   {ratios}")


def _ratio(mine: list[float], theirs: list[float]) -> str:
    ratios = [a / b for a, b in zip(mine[1:], theirs[1:], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _seconds(taken: list[float]) -> str:
    return f"{statistics.median(taken[1:]):6.2f} s ({min(taken[1:]):.2f}-{max(taken[1:]):.2f})"


def _memory(dsn: str) -> int:
    """Return the anonymous memory of a new server process after it has computed the day, in KiB."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        pid = connection.info.backend_pid
        before = _anonymous(pid)
        connection.execute("select public.gate_summary(%s, %s)", (f"{DAY} 00:00+00", "2026-10-06 00:00+00"))
        return max(_anonymous(pid), before)


def _anonymous(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
