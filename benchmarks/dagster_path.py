"""The overhead of Dagster: `uv run --group bench python -m benchmarks.dagster_path`.

Jobs of 50 ms in one run of `process_jobs` and in the bare worker, alternating within each round; then the sensor
`ready_jobs` on an empty queue and on a queue with a long backlog, evaluated as by the daemon.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psycopg

from benchmarks.experiments import Numbers, enqueue, template
from benchmarks.measure import Meter
from benchmarks.peers import COGO, Peer
from benchmarks.programs import Program, ProgramFailed
from benchmarks.server import BenchServer, bench_server
from cogo_dagster.bootstrap import open_application
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.queue.sensors import ready_jobs
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT, load_settings

CONCURRENCY: Final = 16
JOB_SECONDS: Final = 0.05
TICKS: Final = 30
MEBI: Final = 1024**2
TIMEOUT_SECONDS: Final = 300.0
DAGSTER: Final = "dagster"
"""The launcher creates this database in addition to the queue's."""
SLOTS: Final = {"COGO_BENCHMARK_CONCURRENCY": str(CONCURRENCY)}
BARE: Final = replace(COGO, name="bare worker", settings={"concurrency": CONCURRENCY}, environment=SLOTS)
RUN: Final = replace(BARE, name="process_jobs", program="dagster_run")


def main() -> None:
    """Run the rounds and the ticks; print both tables."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    warnings.simplefilter("ignore")
    with bench_server() as server, tempfile.TemporaryDirectory(prefix="cogo-benchmark-") as home:
        os.environ |= {
            "DAGSTER_POSTGRES_URL": server.dsn(DAGSTER),
            "COGO_HOME": home,
            "DAGSTER_HOME": str(PROJECT_ROOT),
        }
        rounds: list[dict[str, Numbers]] = []
        for number in range(options.rounds):
            print(f"Round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
            sides = (BARE, RUN) if number % 2 == 0 else (RUN, BARE)
            rounds.append({side.name: _drain(server, side, options.jobs) for side in sides})
        if rounds:
            print(_drains_table(rounds, options.jobs), flush=True)
        print(_ticks_table(server, options.backlog))


def _drain(server: BenchServer, side: Peer, jobs: int) -> Numbers:
    """Drain with one worker; the time is from GO until all handlers have run and the database has no unfinished job."""
    with server.clone(template(server, side)) as dsn, psycopg.connect(dsn, autocommit=True) as watcher:
        enqueue(side, dsn, jobs)
        with Program(side, "worker", dsn, expected=jobs, sleep_seconds=JOB_SECONDS) as program:
            program.wait_until_ready()
            meter = Meter(watcher, server.pid, [program.pid])
            meter.start()
            program.go()
            began_at = time.monotonic()
            _wait(program, watcher, side, jobs)
            seconds = time.monotonic() - began_at
            meter.stop()
            peak = _peak_bytes(program.pid)
            numbers: Numbers = {"seconds": seconds, "peak_mib": peak / MEBI, "run_seconds": seconds}
            if side is RUN:
                numbers |= _ended_run(server, program, began_at)
        return numbers | meter.cost(jobs).to_json()


def _wait(program: Program, watcher: "psycopg.Connection[Any]", side: Peer, jobs: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while program.ran < jobs or watcher.execute(side.unfinished).fetchone() != (False,):
        program.check_alive()
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{side.name} ran {program.ran} of {jobs} jobs within {TIMEOUT_SECONDS:g} s")
        program.wait_for_progress(0.02)


def _ended_run(server: BenchServer, program: Program, began_at: float) -> Numbers:
    """Wait for the end of the Dagster run; return the size of its event log."""
    run = program.finish(TIMEOUT_SECONDS)
    run_seconds = time.monotonic() - began_at
    if not run["success"]:
        raise ProgramFailed(f"The run failed: {run['error']}")
    with psycopg.connect(server.dsn(DAGSTER), autocommit=True) as events:
        rows = events.execute(
            "select count(*), count(*) filter (where dagster_event_type is null), sum(length(event)) from event_logs"
            " where run_id = %s",
            [run["run_id"]],
        ).fetchone()
    assert rows is not None
    return {"events": rows[0], "lines": rows[1], "event_bytes": int(rows[2]), "run_seconds": run_seconds}


def _peak_bytes(pid: int) -> int:
    """Return the peak resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _drains_table(rounds: list[dict[str, Numbers]], jobs: int) -> str:
    names = ("seconds", "run_seconds", "client_cpu_us", "peak_mib", "events", "lines", "event_bytes")
    head = ["seconds", "to the end of the run", "client CPU µs per job", "peak MiB", "event rows", "log lines", "bytes"]
    lines = [f"| {jobs:,} jobs of {JOB_SECONDS * 1000:g} ms, {CONCURRENCY} concurrently | {' | '.join(head)} |"]
    lines.append(f"| --- |{' ---: |' * len(head)}")
    for side in (BARE, RUN):
        drains = [numbers[side.name] for numbers in rounds]
        cells = [_spread([drain[name] for drain in drains if name in drain]) for name in names]
        lines.append(f"| {side.name} | {' | '.join(cells)} |")
    ratios = [numbers[RUN.name]["seconds"] / numbers[BARE.name]["seconds"] for numbers in rounds]
    return "\n".join([*lines, f"\nTime of process_jobs to the bare worker's, same round: {_spread(ratios)}."])


def _ticks_table(server: BenchServer, backlog: int) -> str:
    lines = ["| ms, median (min-max) | whole tick | queue_stats alone |", "| --- | ---: | ---: |"]
    with server.clone(template(server, BARE)) as dsn:
        settings = {"COGO_DATABASE_URL": dsn}
        with open_application(load_settings(PROJECT_ROOT / ".env", **settings)) as application, _instance() as instance:
            cogo = CogoResource(settings=settings)
            for name, jobs in (("empty queue", 0), (f"{backlog:,} queued", backlog)):
                _fill(dsn, jobs)
                ticks = _times(lambda: _tick(instance, cogo))
                stats = _times(lambda: application.queue.stats(executor_id=""))
                lines.append(f"| {name} | {_spread(ticks)} | {_spread(stats)} |")
            data = _tick(instance, cogo)
    requests = [request.run_key for request in data.run_requests or []]
    return "\n".join([*lines, f"\nRuns requested by a tick with the backlog: {', '.join(map(str, requests))}."])


def _tick(instance: dg.DagsterInstance, cogo: CogoResource) -> Any:
    """Evaluate the sensor as the code server does, with context and resources."""
    with dg.build_sensor_context(instance=instance, cursor="7", resources={"cogo": cogo}) as context:
        return ready_jobs.evaluate_tick(context)


def _fill(dsn: str, jobs: int) -> None:
    queue = Queue(PostgresTransport(dsn))
    queue.enqueue([NewJob("browser", {"url": "https://example.com/"}) for _ in range(jobs)])
    queue.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")


def _times(call: Callable[[], object]) -> list[float]:
    """Return the duration of each call in milliseconds, after two warm-up calls."""
    times = []
    for _ in range(TICKS + 2):
        began_at = time.perf_counter()
        call()
        times.append((time.perf_counter() - began_at) * 1000)
    return times[2:]


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(PROJECT_ROOT)) as instance:
        yield instance


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    ordered = sorted(values)
    form = "{:,.0f}" if ordered[-1] >= 100 else "{:.2f}"
    return f"{form.format(statistics.median(ordered))} ({form.format(ordered[0])}-{form.format(ordered[-1])})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2_000, help="jobs per program and round")
    parser.add_argument("--backlog", type=int, default=100_000, help="queued jobs while the sensor is timed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
