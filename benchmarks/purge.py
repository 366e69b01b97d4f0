"""The effect of a purge on claims: `uv run python -m benchmarks.purge [--finished 300000] [--rounds 5]`.

One session claims and completes 20 jobs at a time, as fast as possible, on a database with `--finished` finished jobs:
first alone, then while another process purges the finished jobs. Each round uses a new database.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import psycopg

from benchmarks.gate import fill
from benchmarks.server import bench_server
from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport

BATCH: Final = 20
ALONE_SECONDS: Final = 5.0


def main() -> None:
    """Fill a database, claim alone and during a purge, and print the duration of a claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"Load {os.getloadavg()[0]:.1f}; milliseconds per claim of {BATCH} jobs, p50 and p95.")
    ratios = []
    with bench_server() as server:
        server.template("purge", migrate)
        for number in range(options.rounds):
            with server.clone("purge") as dsn:
                fill(dsn, options.finished)
                ratios.append(_round(number + 1, dsn))
    for name, index in (("p50", 0), ("p95", 1)):
        values = [ratio[index] for ratio in ratios]
        print(f"{name} during a purge / alone: {statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})")


def _round(number: int, dsn: str) -> tuple[float, float]:
    until = time.monotonic() + ALONE_SECONDS
    alone = _claims(dsn, lambda: time.monotonic() < until)
    purging = multiprocessing.get_context("spawn").Process(target=_purge, args=(dsn,))
    purging.start()
    began = time.monotonic()
    during = _claims(dsn, purging.is_alive)
    took = time.monotonic() - began
    assert purging.exitcode == 0
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from public.operations_log").fetchone()
    assert row is not None
    print(
        f"{number}: alone {alone[0]:.2f} {alone[1]:.2f}, during a purge {during[0]:.2f} {during[1]:.2f}; "
        f"the purge took {took:.1f} s, {row[0]} rows in the log"
    )
    return during[0] / alone[0], during[1] / alone[1]


def _claims(dsn: str, should_continue: Callable[[], bool]) -> tuple[float, float]:
    """Return the median and the 95th percentile of a claim, in milliseconds."""
    transport = PostgresTransport(dsn)
    queue, worker, taken = Queue(transport), WorkerIdentity("claimer", uuid4()), []
    while should_continue():
        queue.enqueue([NewJob("browser") for _ in range(BATCH)])
        began = time.perf_counter()
        claimed = queue.claim(uuid4(), [ClaimRequest("browser", BATCH)], worker, lease_seconds=60, max_jobs=BATCH)
        taken.append((time.perf_counter() - began) * 1000)
        queue.settle([Settlement(job, Outcome.SUCCEEDED) for job in claimed.jobs])
    transport.close()
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def _purge(dsn: str) -> None:
    transport = PostgresTransport(dsn)
    perform(Queue(transport), Operation("purge_jobs", {"older_than_days": 1}), "benchmark")
    transport.close()


if __name__ == "__main__":
    main()
