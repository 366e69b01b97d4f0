"""pgqueuer: batches of 100, an asyncpg pool, uvloop."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers import program

BATCH: Final = 100


class PgQueuerPeer(program.Peer):
    """Enqueues with pgqueuer's queries and runs jobs with its manager."""

    async def connect(self, dsn: str) -> None:
        """Open the pool."""
        self._pool = await asyncpg.create_pool(dsn, min_size=4)
        self._queuer = PgQueuer.from_asyncpg_pool(self._pool)
        self._queries = Queries(self._queuer.connection)

    async def setup(self) -> None:
        """Install its schema."""
        await self._queries.install()

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue with one insert."""
        payloads: list[bytes | None] = [_payload(number) for number in numbers]
        await self._queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

    async def enqueue_one(self, number: int) -> None:
        """Enqueue one job."""
        await self._queries.enqueue("noop", _payload(number))

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run its manager."""

        @self._queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            await handler(json.loads(job.payload or b"{}")["n"])

        await go()
        await self._queuer.run(batch_size=BATCH, max_concurrent_tasks=2 * BATCH)


def _payload(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    program.main(PgQueuerPeer())
