"""Memory and deadlocks over many jobs: `uv run --group bench python -m benchmarks.worker_memory`.

First the memory of one worker before and after many jobs; then eight workers drain one queue on a server that checks
for deadlocks after 50 ms. There must be none.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import Final

import psycopg

from benchmarks.experiments import enqueue, template
from benchmarks.measure import resident_bytes
from benchmarks.peers import COGO
from benchmarks.programs import Program, ProgramFailed
from benchmarks.server import BenchServer, bench_server

WORKERS: Final = 8
WARM_UP_JOBS: Final = 5_000
MEBI: Final = 1024**2
TIMEOUT_SECONDS: Final = 600.0


def main() -> None:
    """Run both measurements; exit with 1 if there was a deadlock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    jobs = parser.parse_args().jobs
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    with bench_server(deadlock_timeout="50ms") as server:
        print(f"Load {os.getloadavg()[0]:.1f}.")
        _memory(server, jobs)
        deadlocks = _deadlocks(server, jobs)
    sys.exit(1 if deadlocks else 0)


def _memory(server: BenchServer, jobs: int) -> None:
    with server.clone(template(server, COGO)) as dsn, Program(COGO, "worker", dsn) as worker:
        enqueue(COGO, dsn, WARM_UP_JOBS)
        worker.wait_until_ready()
        fresh = resident_bytes(worker.pid)
        worker.go()
        _wait([worker], WARM_UP_JOBS)
        warm = resident_bytes(worker.pid)
        for _ in range(4):
            enqueue(COGO, dsn, jobs // 4)
        _wait([worker], WARM_UP_JOBS + jobs // 4 * 4)
        after = resident_bytes(worker.pid)
    print(
        f"Memory of one worker: {fresh / MEBI:.1f} MiB connected, {warm / MEBI:.1f} MiB after {WARM_UP_JOBS:,} jobs, "
        f"{after / MEBI:.1f} MiB after {jobs:,} more."
    )


def _deadlocks(server: BenchServer, jobs: int) -> int:
    with ExitStack() as stack:
        dsn = stack.enter_context(server.clone(template(server, COGO)))
        enqueue(COGO, dsn, jobs)
        workers = [stack.enter_context(Program(COGO, "worker", dsn)) for _ in range(WORKERS)]
        for worker in workers:
            worker.wait_until_ready()
        started_at = time.perf_counter()
        for worker in workers:
            worker.go()
        _wait(workers, jobs)
        seconds = time.perf_counter() - started_at
        for worker in workers:
            worker.end()
        with psycopg.connect(dsn, autocommit=True) as watcher:
            time.sleep(1)  # backends report their statistics when they end
            found = watcher.execute(
                "select deadlocks from pg_stat_database where datname = current_database()"
            ).fetchone()
    assert found is not None
    shares = ", ".join(f"{worker.ran:,}" for worker in workers)
    print(f"{WORKERS} workers, {jobs:,} jobs: {found[0]} deadlocks, {jobs / seconds:,.0f} jobs/s; each ran {shares}.")
    return int(found[0])


def _wait(workers: list[Program], jobs: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (ran := sum(worker.ran for worker in workers)) < jobs:
        for worker in workers:
            worker.check_alive()
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{ran:,} of {jobs:,} jobs ran within {TIMEOUT_SECONDS:g} s")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
