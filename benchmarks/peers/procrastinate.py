"""procrastinate: a concurrency of ten, with LISTEN."""

from collections.abc import Sequence
from typing import Final

from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from benchmarks.peers import program

CONCURRENCY: Final = 10


class Procrastinate(program.Peer):
    """An app with one task."""

    async def connect(self, dsn: str) -> None:
        """Open the app."""
        self._app = App(connector=PsycopgConnector(conninfo=dsn))
        self._handler: program.Handler | None = None

        @self._app.task(name="noop")
        async def noop(n: int) -> None:
            if self._handler is not None:
                await self._handler(n)

        self._task = noop
        await self._app.open_async()

    async def setup(self) -> None:
        """Install its schema."""
        await self._app.schema_manager.apply_schema_async()

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue one batch."""
        arguments: list[JSONDict] = [{"n": number} for number in numbers]
        await self._task.batch_defer_async(*arguments)

    async def enqueue_one(self, number: int) -> None:
        """Enqueue one job."""
        await self._task.defer_async(n=number)

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run its worker."""
        self._handler = handler
        await go()
        await self._app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)


if __name__ == "__main__":
    program.main(Procrastinate())
