"""Runs executors in tests, in one event loop and one job at a time."""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from unittest import mock

from playwright.async_api import Browser

from cogo_dagster.executors.browser import BrowserOptions, pool
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.fonts import scripts_without_glyphs
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.net.dial import Resolver, system_resolver
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster_tests.executors.site import Site

if TYPE_CHECKING:
    import pytest  # worker processes of tests do not need it

T = TypeVar("T")

WAIT_FOREVER: Final = [{"do": "wait_for", "selector": "#never", "timeout_ms": 60_000}]
"""Actions of a job that ends only with its browser, or at its time limit."""

_PROBED: dict[str | None, tuple[str, ...]] = {}
"""The scripts without glyphs, by the configuration of the fonts."""

OPTIONS = BrowserOptions(no_sandbox=True, nav_timeout_ms=15_000)
"""Without the sandbox, since tests often run as root; they open only their own pages."""


@dataclass
class Bench:
    """A started executor, its event loop, and the site that it may open."""

    runner: asyncio.Runner
    executor: BrowserExecutor
    site: Site
    folder: Path

    def do(self, work: Awaitable[T]) -> T:
        """Run an awaitable in the executor's loop."""

        async def wrapped() -> T:
            return await work

        return self.runner.run(wrapped())

    async def attempt(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None, **job_fields: Any
    ) -> Any:
        """Run one attempt and return its result."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        read = self.executor.parse(type, payload)
        job = replace(job_of(read, type), timeout_seconds=timeout_seconds, **job_fields)
        return await self.executor.execute(job, Workspace(folder))

    def run(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None
    ) -> ExecutionResult:
        """Run one job to its end, without a screenshot unless the payload asks for one."""
        if type == "browser":
            payload = {"screenshot": False, **payload}
        result: ExecutionResult = self.do(self.attempt(payload, type, timeout_seconds))
        return result

    def fail(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None, **job_fields: Any
    ) -> ExecutionFailed:
        """Run one attempt that must fail, and return its error."""
        try:
            self.do(self.attempt(payload, type, timeout_seconds, **job_fields))
        except ExecutionFailed as error:
            return error
        raise AssertionError("The job succeeded.")

    @property
    def running(self) -> RunningBrowser:
        """The browser of the next job."""
        assert self.executor._pool is not None
        current = self.executor._pool._current
        assert current is not None
        return current

    def usable(self) -> RunningBrowser:
        """Start a browser if an earlier test has ended the current one, and return it as one without earlier jobs."""
        assert self.executor._pool is not None
        pool = self.executor._pool

        async def chosen() -> RunningBrowser:
            async with pool.browser() as running:
                return running

        running = self.do(chosen())
        running.jobs = running.memory_bytes = 0
        return running

    def change(self, monkeypatch: "pytest.MonkeyPatch", resolver: Resolver = system_resolver, **options: Any) -> None:
        """Change options of the running executor for one test, except those that a browser is started with."""
        other = BrowserExecutor(replace(self.executor._options, **options), resolver)
        monkeypatch.setattr(self.executor, "_options", other._options)
        monkeypatch.setattr(self.executor, "_allowed", other._allowed)
        monkeypatch.setattr(self.executor._proxy, "_dialer", other._proxy._dialer)
        monkeypatch.setattr(self.executor._pool, "_options", other._options)


@contextmanager
def bench(site: Site, folder: Path, options: BrowserOptions = OPTIONS) -> Iterator[Bench]:
    """Start an executor that may open the site, and stop it afterwards."""
    executor = BrowserExecutor(replace(options, allowed_hosts=(*options.allowed_hosts, site.authority)))
    with asyncio.Runner() as runner:
        try:
            with mock.patch.object(pool, "scripts_without_glyphs", _scripts_without_glyphs):
                runner.run(executor.start())
            yield Bench(runner, executor, site, folder)
        finally:
            runner.run(executor.stop())


async def _scripts_without_glyphs(browser: Browser) -> tuple[str, ...]:
    """Probe the fonts once per process: it takes a fifth of the CPU time of a start."""
    fonts = os.environ.get("FONTCONFIG_FILE")
    if fonts not in _PROBED:
        _PROBED[fonts] = await scripts_without_glyphs(browser)
    return _PROBED[fonts]


def job_of(payload: T, type: str = "browser") -> Job[T]:
    """Return a job in its first attempt."""
    return Job(uuid.uuid4(), type, payload, attempts=1, max_attempts=5, lease_token=uuid.uuid4())


def artifact(found: ExecutionResult | ExecutionFailed, name: str) -> bytes:
    """Return the content of one artifact."""
    return next(file for file in found.artifacts if file.name == name).read_bytes()


def names(found: ExecutionResult | ExecutionFailed) -> set[str]:
    """Return the names of the artifacts."""
    return {file.name for file in found.artifacts}


def eventually(condition: Callable[[], bool], timeout_seconds: float = 10) -> bool:
    """Poll until *condition* is true; return False on a timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
        time.sleep(0.01)
    return True
