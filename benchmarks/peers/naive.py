"""Our own SQL used one job at a time: `claim_one_job`, then `complete_job`, on one connection."""

import contextlib
import time
from collections.abc import Sequence
from typing import Final

import psycopg

from benchmarks.peers import program
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.transports.postgres import PostgresTransport

POLL_SECONDS: Final = 0.2


class Naive(program.Peer):
    """The calls of an old worker."""

    async def connect(self, dsn: str) -> None:
        """Connect."""
        self._dsn = dsn
        self._queue = Queue(PostgresTransport(dsn))
        with contextlib.suppress(QueueError):  # not migrated yet
            self._queue.schema_version()

    async def setup(self) -> None:
        """Migrate."""
        migrate(self._dsn)

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """One call of the client."""
        self._queue.enqueue([NewJob("noop", {"n": number}) for number in numbers])

    async def enqueue_one(self, number: int) -> None:
        """One call."""
        self._queue.enqueue([NewJob("noop", {"n": number})])

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Claim one, complete it, and again."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            await go()
            while True:
                row = connection.execute("select public.claim_one_job(null, 'naive')").fetchone()
                job = row[0] if row else None
                if job is None:
                    time.sleep(POLL_SECONDS)  # noqa: ASYNC251 - one thing at a time is the point
                    continue
                await handler(job["payload"]["n"])
                connection.execute("select public.complete_job(%s, %s)", (job["id"], job["lease_token"]))


if __name__ == "__main__":
    program.main(Naive())
