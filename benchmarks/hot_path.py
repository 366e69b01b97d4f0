"""The cost of a job in the database with the schema of another commit and with this one, in turn.

    uv run python -m benchmarks.hot_path --before COMMIT [--rounds 5] [--jobs 20000]

Both schemas get the same calls of this release's client, 500 jobs each: enqueue, claim, settle. Each round starts with
empty copies of both databases. Processor time is that of the
client's session, WAL that of the server.
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

from benchmarks.server import BenchServer, bench_server
from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Job, NewJob, Outcome, Settlement
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import PROJECT_ROOT

BATCH: Final = 500
STEPS: Final = ("enqueue", "claim", "settle")

_SESSION: Final = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


@dataclass
class Costs:
    """Microseconds of processor time and bytes of WAL per job, by step and round."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    wal: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    options = parser.parse_args()
    costs = {"before": Costs(), "after": Costs()}
    with bench_server(autovacuum="off") as server:
        server.template("before", lambda dsn: _migrate_to(options.before, dsn))
        server.template("after", migrate)
        for _ in range(options.rounds):
            for name, cost in costs.items():
                with server.clone(name) as dsn:
                    _measure(server, dsn, options.jobs, cost)
    print(f"Load {os.getloadavg()[0]:.1f}; medians (minimum to maximum) of {options.rounds} rounds.\n")
    print(f"| per job | {' | '.join(STEPS)} |\n| --- | ---: | ---: | ---: |")
    for name, cost in costs.items():
        print(f"| WAL bytes, {name} | {' | '.join(_shown(cost.wal[step]) for step in STEPS)} |")
    for name, cost in costs.items():
        print(f"| server CPU µs, {name} | {' | '.join(_shown(cost.cpu[step]) for step in STEPS)} |")


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

    def __init__(self, dsn: str, watcher: "psycopg.Connection[Any]") -> None:
        self._watcher = watcher
        self._transport = PostgresTransport(dsn, max_connections=1)
        self._queue = Queue(self._transport)
        self._worker = WorkerIdentity("worker", uuid4(), None)
        self._queue.schema_version()
        [(pid,)] = watcher.execute(_SESSION).fetchall()
        self._cpu = Path(f"/proc/{pid}/schedstat")

    def run(self, jobs: int) -> dict[str, tuple[float, float]]:
        """Run jobs; return the microseconds of processor time and the bytes of WAL per job, by step."""
        batches = range(jobs // BATCH)
        used = [self._used()]
        for _ in batches:
            self._queue.enqueue([NewJob("browser", {"url": f"https://example.com/{n}"}) for n in range(BATCH)])
        used.append(self._used())
        claimed = [self._claim() for _ in batches]
        used.append(self._used())
        for held in claimed:
            self._queue.settle([Settlement(job, Outcome.SUCCEEDED, result={"title": "A page"}) for job in held])
        used.append(self._used())
        return {
            step: ((later[0] - earlier[0]) / jobs, (later[1] - earlier[1]) / jobs)
            for step, (earlier, later) in zip(STEPS, pairwise(used), strict=True)
        }

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _claim(self) -> "Sequence[Job[Any]]":
        request = [ClaimRequest("browser", BATCH)]
        return self._queue.claim(uuid4(), request, self._worker, lease_seconds=600, max_jobs=BATCH).jobs

    def _used(self) -> tuple[float, float]:
        row = self._watcher.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(self._cpu.read_text(encoding="ascii").split()[0]) / 1000, float(row[0])


def _measure(server: BenchServer, dsn: str, jobs: int, costs: Costs) -> None:
    """Run the jobs once unmeasured, then measured, and add the costs per job."""
    server.admin.execute("checkpoint")
    with psycopg.connect(dsn, autocommit=True) as watcher:
        session = _Session(dsn, watcher)
        session.run(3 * BATCH)
        for step, (cpu, wal) in session.run(jobs).items():
            costs.cpu[step].append(cpu)
            costs.wal[step].append(wal)
        session.close()


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
