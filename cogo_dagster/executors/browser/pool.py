"""Keeps a healthy browser; it is replaced after a number of jobs, if it uses too much memory, or if it has ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Error

from cogo_dagster.executors.browser.find import BrowserChoice
from cogo_dagster.executors.browser.fonts import scripts_without_glyphs
from cogo_dagster.executors.browser.memory import is_renderer
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.process import RunningBrowser

STOP_LAUNCH_TIMEOUT_SECONDS = 10
MEMORY_CHECK_SECONDS = 0.5
FONTS_TIMEOUT_SECONDS = 20


class BrowserPool:
    """Provides the current browser, and replaces it when it has reached a limit or ended.

    A replaced browser gets no new jobs and is closed when its last job has ended.

    Attributes:
        scripts_without_glyphs: Scripts that are rendered as boxes, since no installed font has their glyphs.
    """

    def __init__(self, choice: BrowserChoice, options: BrowserOptions, proxy_url: str) -> None:
        self.scripts_without_glyphs: tuple[str, ...] = ()
        self._choice = choice
        self._options = options
        self._proxy_url = proxy_url
        self._current: RunningBrowser | None = None
        self._change = asyncio.Lock()
        self._launching: asyncio.Task[None] | None = None
        self._stopped = False
        self._open: set[RunningBrowser] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Launch the first browser, and detect the scripts without glyphs.

        Raises:
            ExecutorUnavailable: The browser does not start.
        """
        await self._replace()
        self._watch = asyncio.create_task(self._watch_memory())
        if self._current is not None:
            with contextlib.suppress(Error, TimeoutError):  # only a note is missing then
                async with asyncio.timeout(FONTS_TIMEOUT_SECONDS):
                    self.scripts_without_glyphs = await scripts_without_glyphs(self._current.browser)

    async def stop(self) -> None:
        """Close every browser, even while jobs run in it."""
        self._stopped = True
        self._current = None
        if self._watch is not None:
            self._watch.cancel()
        if self._launching is not None:
            await asyncio.wait({self._launching}, timeout=STOP_LAUNCH_TIMEOUT_SECONDS)
        for running in list(self._open):
            self._close(running)
        if self._closing:
            await asyncio.wait(self._closing)

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[RunningBrowser]:
        """Use the current browser for one job.

        Raises:
            ExecutorUnavailable: A new browser was needed and does not start.
        """
        async with self._change:
            if self._current is None or not self._is_usable(self._current):
                await self._replace()
            running = self._current
            assert running is not None  # noqa: S101 - _replace sets it or raises
            running.jobs += 1
            running.in_use += 1
        try:
            yield running
        finally:
            running.in_use -= 1
            if running is not self._current and running.in_use == 0:
                self._close(running)

    def _is_usable(self, running: RunningBrowser) -> bool:
        return (
            running.alive
            and running.jobs < self._options.jobs_per_browser
            and running.memory_bytes <= self._options.memory_mb_per_browser * 1_000_000
        )

    async def _watch_memory(self) -> None:
        """Measure the browsers that are in use, and end pages that use more memory than their share."""
        while True:
            await asyncio.sleep(MEMORY_CHECK_SECONDS)
            limit_bytes = self._options.memory_mb_per_page * 1_000_000
            for running in [running for running in self._open if running.in_use]:
                used_bytes = await asyncio.to_thread(running.processes.memory)
                running.memory_bytes = sum(used_bytes.values())
                for pid, size_bytes in used_bytes.items():
                    if size_bytes > limit_bytes and is_renderer(pid):
                        running.end_page(pid, size_bytes, limit_bytes)

    async def _replace(self) -> None:
        retired, self._current = self._current, None
        if retired is not None and retired.in_use == 0:
            self._close(retired)
        if self._launching is None or self._launching.done():
            self._launching = asyncio.create_task(self._launch())
        # Cancelling one job must not cancel the launch, which other jobs wait for.
        await asyncio.shield(self._launching)

    async def _launch(self) -> None:
        running = await RunningBrowser.launch(self._choice, self._options, self._proxy_url)
        self._open.add(running)
        self._current = running
        if self._stopped:
            self._close(running)

    def _close(self, running: RunningBrowser) -> None:
        if running in self._open:
            self._open.remove(running)
            task = asyncio.create_task(running.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
