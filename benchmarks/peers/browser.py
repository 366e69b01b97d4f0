"""Browser jobs: the real worker with the browser executor, and a hand-written loop.

`BENCHMARK_BROWSER` is `worker`, `http` (the worker without a browser), `loop` (opens the page and keeps the same
files), `bare` (the loop behind a minimal forward proxy) or `traced` (the loop, also recording traces as the executor
does). All open the URLs in the JSON array
`BENCHMARK_BROWSER_URLS` in turn, with a concurrency of four. Loops take Playwright's screenshots, or those of the
executor if `BENCHMARK_BROWSER_PICTURE` is `fast`.
"""

import asyncio
import base64
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.async_api import Browser, Error, Page, async_playwright

from benchmarks.peers import cogo, program
from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.payload import BrowserPayload
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import WorkerIdentity
from cogo_dagster.queue.executor import Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, NewJob
from cogo_dagster.queue.worker import Worker, WorkerOptions
from cogo_dagster.queue.worker.events import Observer, SettledAttempt
from cogo_dagster.queue.worker.wakeup import ListenWakeup
from cogo_dagster.settings import is_root

KIND: Final = os.environ.get("BENCHMARK_BROWSER", "worker")
URLS: Final[list[str]] = json.loads(os.environ.get("BENCHMARK_BROWSER_URLS", '["http://127.0.0.1/"]'))
FAST_PICTURE: Final = os.environ.get("BENCHMARK_BROWSER_PICTURE") == "fast"
CONCURRENCY: Final = 4
OPTIONS: Final = BrowserOptions(
    no_sandbox=is_root(),
    allowed_hosts=(urlsplit(URLS[0]).netloc,),
    concurrency=CONCURRENCY,
    install=False,
    real_mode=KIND != "http",
    jobs_per_browser=int(os.environ.get("BENCHMARK_JOBS_PER_BROWSER", "200")),
)


class WaitingExecutor(BrowserExecutor):
    """The browser executor; waits for the harness before it starts, and before each job that runs in a turn."""

    def __init__(self, admitted: asyncio.Semaphore | None, go: program.Go) -> None:
        super().__init__(OPTIONS)
        self._admitted = admitted
        self._go = go

    async def start(self) -> None:
        """Start the browser and wait for the harness."""
        await super().start()
        await self._go()

    async def execute(self, job: Job[BrowserPayload], workspace: Workspace) -> ExecutionResult:
        """Execute the job."""
        if self._admitted is not None:
            await self._admitted.acquire()
        return await super().execute(job, workspace)


class CountingObserver(Observer):
    """Counts settled jobs for the harness."""

    def __init__(self, handler: program.Handler) -> None:
        self._handler = handler
        self._loop = asyncio.get_running_loop()

    def settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Count the jobs."""
        for _ in attempts:
            asyncio.run_coroutine_threadsafe(self._count(), self._loop)

    async def _count(self) -> None:
        await self._handler(0)


class BrowserWorker(cogo.Cogo):
    """The worker with the browser executor."""

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs that open the page."""
        self._queue.enqueue([NewJob("browser", {"url": URLS[number % len(URLS)]}) for number in numbers])

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run the worker with an artifact store in a folder."""
        with tempfile.TemporaryDirectory(prefix="cogo-benchmark-") as folder:
            await Worker(
                self._queue,
                FolderStore(Path(folder)),
                [WaitingExecutor(self.admitted, go)],
                WorkerIdentity("benchmark", uuid4()),
                WorkerOptions(concurrency=CONCURRENCY),
                wakeup=ListenWakeup(self._dsn),
                observer=CountingObserver(handler),
            ).run()


class BrowserLoop(cogo.Cogo):
    """One browser with a context per page; no queue, no checks of addresses, no replacement of the browser."""

    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Do nothing: the loop has no queue."""

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Open pages until the process is ended."""
        choice = find_browser(OPTIONS, install=False)
        urls = itertools.cycle(URLS)
        async with async_playwright() as driver:
            browser = await driver.chromium.launch(
                executable_path=choice.executable_path,
                chromium_sandbox=not OPTIONS.no_sandbox,
                proxy={"server": _bare_proxy(), "bypass": "<-loopback>"} if KIND == "bare" else None,
            )
            with tempfile.TemporaryDirectory(prefix="cogo-benchmark-") as folder:
                await go()
                await asyncio.gather(*(self._loop(browser, urls, Path(folder), handler) for _ in range(CONCURRENCY)))

    async def _loop(
        self, browser: Browser, urls: "itertools.cycle[str]", folder: Path, handler: program.Handler
    ) -> None:
        while True:
            if self.admitted is not None:
                await self.admitted.acquire()
            await self._visit(browser, next(urls), folder)
            await handler(0)

    async def _visit(self, browser: Browser, url: str, folder: Path) -> None:
        name = uuid4().hex
        context = await browser.new_context(accept_downloads=False, service_workers="block")
        try:
            if KIND == "traced":
                await context.tracing.start(screenshots=True, snapshots=True, sources=False)
            page = await context.new_page()
            await page.goto(url, wait_until="load")
            picture = await (_fast_picture(page) if FAST_PICTURE else page.screenshot())
            await asyncio.to_thread((folder / f"{name}.png").write_bytes, picture)
            await asyncio.to_thread((folder / f"{name}.html").write_text, await page.content())
            await page.title()
        finally:
            await context.close()


async def _fast_picture(page: Page) -> bytes:
    """Return the screenshot that the executor takes."""
    session = await page.context.new_cdp_session(page)
    try:
        answer = await session.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})
    except Error:  # Chromium has no frame yet, which happens on a busy machine
        return await page.screenshot()
    return base64.b64decode(answer["data"])


def _bare_proxy() -> str:
    """Start the proxy, whose CPU time counts as that of the loop; return its URL."""
    until_end, _ = os.pipe()  # the other end stays open until this process ends
    process: Any = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.bare_proxy"], stdin=until_end, stdout=subprocess.PIPE, text=True
    )
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


if __name__ == "__main__":
    program.main(BrowserWorker() if KIND in ("worker", "http") else BrowserLoop())
