"""Runs Figma jobs as a worker does: with a real queue, a store on disk, and a fake Figma over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from cogo_dagster.executors.figma.executor import FigmaExecutor
from cogo_dagster.executors.figma.options import FigmaOptions
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import WorkerEvent
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.executors.figma_server import FakeFigma, serving_figma
from cogo_dagster_tests.worker.bench import Bench

TOKEN = "figd_Canary-0123456789abcdefXYZ"


@dataclass
class FigmaBench:
    """A queue, a store and a fake Figma.

    Attributes:
        events: The events of all workers.
    """

    figma: FakeFigma
    transport: Transport
    dsn: str
    folder: Path
    options: FigmaOptions
    events: list[WorkerEvent] = field(default_factory=list)

    @property
    def queue(self) -> Queue:
        """The queue."""
        return Queue(self.transport)

    @property
    def store(self) -> FolderStore:
        """The artifact store."""
        return FolderStore(self.folder / "artifacts")

    def executor(self, transport: Transport | None = None, **options: Any) -> FigmaExecutor:
        """Build an executor."""
        return FigmaExecutor(replace(self.options, **options), transport or self.transport, self.store)

    def enqueue(self, type: str = "figma.images", **payload: Json) -> UUID:
        """Validate and enqueue a job for the fake's file."""
        checked = FigmaExecutor.validate(type, {"file_key": "KEY", **payload}, load_settings())
        return self.queue.enqueue([NewJob(type, checked)])[0].job_id

    def work(self, executor: FigmaExecutor | None = None) -> None:
        """Run a worker until nothing is due."""
        running = Bench(self.queue, self.store).worker(executor or self.executor(), linger_seconds=0)
        running.start()
        running.report()
        self.events += running.events

    def run(self, type: str = "figma.images", **payload: Json) -> Json:
        """Enqueue a job, run a worker, and return the job's row."""
        job_id = self.enqueue(type, **payload)
        self.work()
        return self.look(job_id)

    def make_due(self) -> None:
        """Make all queued jobs due."""
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            owner.execute("update public.jobs set next_run_at = clock_timestamp() where status = 'queued'")

    def look(self, job_id: UUID) -> Json:
        """Return a job's row."""
        [row] = self.queue.get_jobs([job_id])
        return row.document

    def content(self, row: Json, name: str) -> bytes:
        """Return the content of the job's artifact with this name."""
        [artifact] = [artifact for artifact in row["artifacts"] if artifact["name"] == name]
        return Path(self.store.address(artifact["storage_key"])).read_bytes()


@contextmanager
def figma_bench(transport: Transport, dsn: str, folder: Path, **options: Any) -> Iterator[FigmaBench]:
    """Run a fake Figma, and yield a bench that uses it."""
    with serving_figma(**options) as figma:
        chosen = FigmaOptions(token=TOKEN, api=figma.url, allowed_hosts=(figma.authority,), call_seconds=10)
        yield FigmaBench(figma, transport, dsn, folder, chosen)
