"""The cost of a job in the database with two schemas, in turn.

    uv run python -m benchmarks.hot_path --before COMMIT [--rounds 5] [--jobs 20000]
    uv run python -m benchmarks.hot_path --without INDEX [INDEX ...]

The schemas are that of another commit, or this one without some indexes, and this one. Both get the same calls of this
release's client, 500 jobs each (`--batch`): enqueue, claim, settle; and heartbeats of a worker in a Dagster run. Each
round starts with empty copies of both databases. Processor time is that of the client's session, WAL that of the
server. The numbers are printed and written to a file in `results`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg import sql

from benchmarks.report import machine, write
from benchmarks.server import BenchServer, bench_server
from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Job, Json, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT

BATCH: Final = 500
STEPS: Final = ("enqueue", "claim", "settle", "heartbeat")
HEARTBEATS: Final = 500

METRICS: Final[Json] = {
    "counters": {"claimed": 100, "succeeded": 90},
    "latency": {"bounds_seconds": [0.1, 1, 10], "counts": [1, 2, 3, 4], "sum_seconds": 12},
}

_SESSION: Final = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@dataclass
class Costs:
    """Microseconds of processor time and bytes of WAL per job, by step and round."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    wal: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    schema = parser.add_mutually_exclusive_group(required=True)
    schema.add_argument("--before", metavar="COMMIT")
    schema.add_argument("--without", nargs="+", metavar="INDEX")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=BATCH, help="jobs of one call")
    options = parser.parse_args()
    before, after = ("without", "with") if options.without else ("before", "after")
    costs = {before: Costs(), after: Costs()}
    with bench_server(autovacuum="off") as server:
        if options.without:
            server.template(before, lambda dsn: _migrate_without(options.without, dsn))
        else:
            server.template(before, lambda dsn: _migrate_to(options.before, dsn))
        server.template(after, migrate)
        for _ in range(options.rounds):
            for name, cost in costs.items():
                with server.clone(name) as dsn:
                    _measure(server, dsn, options, cost)
    print(f"Load {os.getloadavg()[0]:.1f}; medians (minimum to maximum) of {options.rounds} rounds.\n")
    print(f"| per job, or heartbeat | {' | '.join(STEPS)} |\n| --- |{' ---: |' * len(STEPS)}")
    for name, cost in costs.items():
        print(f"| WAL bytes, {name} | {' | '.join(_shown(cost.wal[step]) for step in STEPS)} |")
    for name, cost in costs.items():
        print(f"| server CPU µs, {name} | {' | '.join(_shown(cost.cpu[step]) for step in STEPS)} |")
    found = {name: {"wal_bytes": cost.wal, "server_cpu_us": cost.cpu} for name, cost in costs.items()}
    write(machine() | {"options": vars(options), "hot_path": found})


def _migrate_without(indexes: Sequence[str], dsn: str) -> None:
    """Create the schema without some indexes."""
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as owner:
        for index in indexes:
            owner.execute(sql.SQL("drop index public.{}").format(sql.Identifier(index)))


def _migrate_to(commit: str, dsn: str) -> None:
    """Create the schema of a commit with its own code."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "archive", commit], cwd=PROJECT_ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=packed, check=True)
        program = "import sys; from cogo_dagster.queue.migrate import migrate; migrate(sys.argv[1])"
        environment = os.environ | {"PYTHONPATH": folder}
        subprocess.run([sys.executable, "-c", program, dsn], cwd=folder, env=environment, check=True)


class _Session:
    """A client of one database, and what its session on the server has used."""

    def __init__(self, dsn: str, watcher: "psycopg.Connection[Any]", batch: int) -> None:
        self._batch = batch
        self._watcher = watcher
        self._transport = PostgresTransport(dsn, max_connections=1)
        self._queue = Queue(self._transport)
        self._worker = WorkerIdentity("worker", uuid4(), None, dagster_run_id=str(uuid4()))
        self._queue.register_worker(
            self._worker, families=["browser"], concurrency=4, pid=1, code_version="1", heartbeat_seconds=10, device={}
        )
        [(pid,)] = watcher.execute(_SESSION).fetchall()
        self._cpu = Path(f"/proc/{pid}/schedstat")

    def run(self, jobs: int) -> dict[str, tuple[float, float]]:
        """Run jobs; return the microseconds of processor time and the bytes of WAL per job, by step."""
        batches = range(jobs // self._batch)
        used = [self._used()]
        for _ in batches:
            self._queue.enqueue([NewJob("browser", {"url": f"https://example.com/{n}"}) for n in range(self._batch)])
        used.append(self._used())
        claimed = [self._claim() for _ in batches]
        used.append(self._used())
        for held in claimed:
            self._queue.settle([Settlement(job, Outcome.SUCCEEDED, result={"title": "A page"}) for job in held])
        used.append(self._used())
        for _ in range(HEARTBEATS):
            self._queue.heartbeat(self._worker, 4, METRICS)
        used.append(self._used())
        counts = (jobs, jobs, jobs, HEARTBEATS)
        return {
            step: ((later[0] - earlier[0]) / count, (later[1] - earlier[1]) / count)
            for step, count, (earlier, later) in zip(STEPS, counts, pairwise(used), strict=True)
        }

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _claim(self) -> "Sequence[Job[Any]]":
        request = [ClaimRequest("browser", self._batch)]
        return self._queue.claim(uuid4(), request, self._worker, lease_seconds=600, max_jobs=self._batch).jobs

    def _used(self) -> tuple[float, float]:
        row = self._watcher.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(self._cpu.read_text(encoding="ascii").split()[0]) / 1000, float(row[0])


def _measure(server: BenchServer, dsn: str, options: argparse.Namespace, costs: Costs) -> None:
    """Run the jobs once unmeasured, then measured, and add the costs per job."""
    server.admin.execute("checkpoint")
    with psycopg.connect(dsn, autocommit=True) as watcher:
        session = _Session(dsn, watcher, options.batch)
        session.run(3 * options.batch)
        for step, (cpu, wal) in session.run(options.jobs).items():
            costs.cpu[step].append(cpu)
            costs.wal[step].append(wal)
        session.close()


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
