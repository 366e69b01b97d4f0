"""cogo: the real worker with the Postgres transport and an executor that does nothing."""

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from benchmarks.peers import program
from cogo_dagster.cli.enqueue_file import enqueue_file
from cogo_dagster.executors.registry import PayloadValidator
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.executor import Executor, Workspace
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.queue.worker import Stage, Worker, WorkerOptions
from cogo_dagster.queue.worker.events import Observer
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster.settings import load_settings

if TYPE_CHECKING:
    from cogo_dagster.dagster_support.worker_thread import WorkerThread

CONCURRENCY: Final = int(os.environ.get("COGO_BENCHMARK_CONCURRENCY", "500"))
OBSERVER: Final = os.environ.get("COGO_BENCHMARK_OBSERVER", "")
KEYS: Final = bool(os.environ.get("COGO_BENCHMARK_KEYS"))
FILE: Final = bool(os.environ.get("COGO_BENCHMARK_FILE"))


class NoOp(Executor, family="noop"):
    """Runs jobs of the family `noop` with the harness's handler."""

    def __init__(self, handler: program.Handler, go: program.Go) -> None:
        self._handler = handler
        self._go = go

    async def start(self) -> None:
        """Wait for the harness; the worker claims no jobs before this returns."""
        await self._go()

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - the protocol
        """Call the handler."""
        await self._handler(job.payload["n"])
        return ExecutionResult()


class Cogo(program.Peer):
    """The queue with its client."""

    async def connect(self, dsn: str) -> None:
        """Open the pool."""
        self._dsn = dsn
        self._queue = Queue(PostgresTransport(dsn))
        with contextlib.suppress(QueueError):  # not migrated yet
            self._queue.schema_version()

    async def setup(self) -> None:
        """Migrate."""
        migrate(self._dsn)

    def prepare(self, numbers: Sequence[int]) -> None:
        """Write the file of the jobs, and import the executor, since the peers' imports are not timed either."""
        if FILE:
            PayloadValidator(load_settings()).validated("browser", {"url": "https://shop.example/"})
            self._file = Path(tempfile.mkdtemp()) / "jobs.jsonl"
            lines = (json.dumps({"url": f"https://shop.example/{number}"}) for number in numbers)
            self._file.write_text("\n".join(lines))

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue with one call of the client, which uses batches of 1,000, or as `cogo enqueue browser @FILE` does."""
        if FILE:
            settings = load_settings(COGO_DATABASE_URL=self._dsn)
            enqueue_file(settings, f"@{self._file}", NewJob("browser"), family="browser", quiet=True)
            return
        self._queue.enqueue(
            [NewJob("noop", {"n": number}, idempotency_key=str(number) if KEYS else None) for number in numbers]
        )

    async def enqueue_one(self, number: int) -> None:
        """Enqueue with one call."""
        self._queue.enqueue([NewJob("noop", {"n": number})])

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run the worker."""
        store = FolderStore(Path(tempfile.gettempdir()) / "cogo-benchmark-artifacts")
        options = WorkerOptions(concurrency=CONCURRENCY)
        identity = WorkerIdentity("benchmark", uuid4())
        wakeup = ListenWakeup(self._dsn)
        await Worker(
            self._queue, store, [NoOp(handler, go)], identity, options, wakeup=wakeup, observer=_observer()
        ).run()


def _observer() -> Observer:
    """Return the observer of the command line, whose lines go to a file, or of a run of Dagster."""
    if OBSERVER == "cli":
        from cogo_dagster.cli.worker_log import WorkerLog  # noqa: PLC0415 - not needed by the others

        return WorkerLog(as_json=False)
    if OBSERVER == "dagster":
        from cogo_dagster.dagster_support.reporting import RunReport  # noqa: PLC0415 - takes a second
        from cogo_dagster.dagster_support.worker_thread import WorkerThread  # noqa: PLC0415 - takes a second

        followed = WorkerThread()
        threading.Thread(target=_follow, args=(followed,), daemon=True).start()
        return RunReport(load_settings(), followed.observe)
    return Observer()


def _follow(followed: "WorkerThread") -> None:
    """Follow the events as the ops of `process_jobs` do."""
    followed._thread = threading.current_thread()  # noqa: SLF001 - the worker runs in the main thread
    for _ in followed.follow(Stage.UPLOAD):
        pass


if __name__ == "__main__":
    program.main(Cogo())
