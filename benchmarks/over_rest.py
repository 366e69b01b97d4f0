"""The worker's cost per job over REST and over a connection: `uv run --group bench python -m benchmarks.over_rest`.

The Supabase project is the stand-in of the tests, in a separate process: the worker's CPU time and number of calls are
realistic; elapsed time and the server's CPU time are not.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import mkdtemp
from typing import Final
from uuid import uuid4

from benchmarks.peers.cogo import NoOp
from benchmarks.server import BenchServer, bench_server
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster.queue.supabase.project import Project
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster.queue.worker import Worker, WorkerOptions
from cogo_dagster_tests.supabase.keys import SECRET_KEY
from cogo_dagster_tests.supabase.server import supabase

SLOTS: Final = (50, 500)
JOBS: Final = 10_000


class Counted:
    """Counts calls."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.calls = 0

    def call(self, function: str, arguments: Mapping[str, Json]) -> Json:
        """Count and pass on the call."""
        self.calls += 1
        return self._transport.call(function, arguments)

    def close(self) -> None:
        """Close the wrapped transport."""
        self._transport.close()


def main() -> None:
    """Drain a queue over both transports with each number of slots, alternating."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"Load {os.getloadavg()[0]:.1f}.")
    with bench_server() as server:
        for _ in range(options.rounds):
            print("  ".join(f"{name} {value:.4g}" for name, value in measure(server, options.jobs).items()), flush=True)


def measure(server: BenchServer, jobs: int = JOBS) -> dict[str, float]:
    """Return the client's CPU time in microseconds and the calls per job, by transport and number of slots."""
    server.template("over_rest", migrate)
    numbers: dict[str, float] = {}
    for slots in SLOTS:
        with server.clone("over_rest") as dsn:
            numbers |= _cost(f"postgres_{slots}", slots, jobs, PostgresTransport(dsn))
        with server.clone("over_rest") as dsn, _project(dsn) as url:
            numbers |= _cost(f"rest_{slots}", slots, jobs, SupabaseTransport(Project(url, SECRET_KEY)))
    return numbers


def _cost(name: str, slots: int, jobs: int, transport: Transport) -> dict[str, float]:
    counted = Counted(transport)
    queue = Queue(counted)
    queue.enqueue([NewJob("noop", {"n": number}) for number in range(jobs)])
    counted.calls = 0
    cpu = time.process_time()
    asyncio.run(_drain(queue, slots, jobs))
    cpu = time.process_time() - cpu
    counted.close()
    return {f"{name}_us": 1e6 * cpu / jobs, f"{name}_calls": counted.calls / jobs}


async def _drain(queue: Queue, slots: int, jobs: int) -> None:
    async def nothing(*_: object) -> None:
        pass

    options = WorkerOptions(concurrency=slots, max_jobs=jobs)
    store, identity = FolderStore(Path(mkdtemp())), WorkerIdentity("benchmark", uuid4())
    await Worker(queue, store, [NoOp(nothing, nothing)], identity, options).run()


@contextmanager
def _project(dsn: str) -> Iterator[str]:
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(dsn, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(15)


def _serve(dsn: str, pipe: Connection) -> None:
    with supabase(dsn) as stand_in:
        pipe.send(stand_in.url)
        pipe.recv()


if __name__ == "__main__":
    main()
