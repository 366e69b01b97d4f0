"""Browser jobs: the real worker with the browser executor, and a hand-written loop.

`BENCHMARK_BROWSER` is `worker`, `loop` (opens the page and keeps the same files) or `traced` (the loop, also recording
traces as the executor does). All open `BENCHMARK_BROWSER_URL`, with a concurrency of four.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.async_api import Browser, async_playwright

from benchmarks.peers import cogo, program
from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import WorkerIdentity
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.worker import Worker, WorkerOptions
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster.settings import is_root

URL: Final = os.environ.get("BENCHMARK_BROWSER_URL", "http://127.0.0.1/")
CONCURRENCY: Final = 4
OPTIONS: Final = BrowserOptions(
    no_sandbox=is_root(), allowed_hosts=(urlsplit(URL).netloc,), concurrency=CONCURRENCY, install=False
)


class CountingExecutor(BrowserExecutor):
    """The browser executor; also counts jobs for the harness."""

    def __init__(self, handler: program.Handler, go: program.Go) -> None:
        super().__init__(OPTIONS)
        self._handler = handler
        self._go = go

    async def start(self) -> None:
        """Start the browser and wait for the harness."""
        await super().start()
        await self._go()

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Execute and count the job."""
        result = await super().execute(job, workspace)
        await self._handler(0)
        return result


class BrowserWorker(cogo.Cogo):
    """The worker with the browser executor."""

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs that open the page."""
        self._queue.enqueue([NewJob("browser", {"url": URL}) for _ in numbers])

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run the worker with an artifact store in a folder."""
        with tempfile.TemporaryDirectory(prefix="cogo-benchmark-") as folder:
            await Worker(
                self._queue,
                FolderStore(Path(folder)),
                [CountingExecutor(handler, go)],
                WorkerIdentity("benchmark", uuid4()),
                WorkerOptions(concurrency=CONCURRENCY),
                wakeup=ListenWakeup(self._dsn),
            ).run()


class BrowserLoop(cogo.Cogo):
    """One browser with a context per page; no queue, proxy or replacement of the browser."""

    def __init__(self, *, traced: bool) -> None:
        self._traced = traced

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Do nothing: the loop has no queue."""

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Open pages until the process is ended."""
        choice = find_browser(OPTIONS, install=False)
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(
                executable_path=choice.executable_path, chromium_sandbox=not OPTIONS.no_sandbox
            )
            with tempfile.TemporaryDirectory(prefix="cogo-benchmark-") as folder:
                await go()
                await asyncio.gather(*(self._loop(browser, Path(folder), handler) for _ in range(CONCURRENCY)))

    async def _loop(self, browser: Browser, folder: Path, handler: program.Handler) -> None:
        while True:
            await self._visit(browser, folder)
            await handler(0)

    async def _visit(self, browser: Browser, folder: Path) -> None:
        name = uuid4().hex
        context = await browser.new_context(accept_downloads=False, service_workers="block")
        try:
            if self._traced:
                await context.tracing.start(screenshots=True, snapshots=True, sources=False)
            page = await context.new_page()
            await page.goto(URL, wait_until="load")
            await page.screenshot(path=folder / f"{name}.png")
            await asyncio.to_thread((folder / f"{name}.html").write_text, await page.content())
            await page.title()
        finally:
            await context.close()


if __name__ == "__main__":
    chosen = os.environ.get("BENCHMARK_BROWSER", "worker")
    program.main(BrowserWorker() if chosen == "worker" else BrowserLoop(traced=chosen == "traced"))
