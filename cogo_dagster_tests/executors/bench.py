"""Run executors in tests: one loop, one job at a time, and a look at their processes."""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.net.dial import Resolver, system_resolver
from cogo_dagster.queue.executor import ExecutionFailed, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster_tests.executors.site import Site

T = TypeVar("T")

OPTIONS = BrowserOptions(no_sandbox=True, nav_timeout_ms=15_000)
"""Without the sandbox, since tests often run as root; the pages are ours."""


@dataclass
class Bench:
    """A started executor, the loop it lives in, and the site it may visit."""

    runner: asyncio.Runner
    executor: BrowserExecutor
    site: Site
    folder: Path

    def do(self, work: Awaitable[T]) -> T:
        """Run something in the executor's loop."""

        async def wrapped() -> T:
            return await work

        return self.runner.run(wrapped())

    async def attempt(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None, **job_fields: Any
    ) -> Any:
        """Run one attempt; returns the result."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        read = self.executor.parse(type, payload)
        job = replace(job_of(read, type), timeout_seconds=timeout_seconds, **job_fields)
        return await self.executor.execute(job, Workspace(folder))

    def run(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None
    ) -> ExecutionResult:
        """Run one job to its end."""
        result: ExecutionResult = self.do(self.attempt(payload, type, timeout_seconds))
        return result

    def fail(
        self, payload: dict[str, Any], type: str = "browser", timeout_seconds: float | None = None, **job_fields: Any
    ) -> ExecutionFailed:
        """Run one attempt that must fail, and return how."""
        try:
            self.do(self.attempt(payload, type, timeout_seconds, **job_fields))
        except ExecutionFailed as error:
            return error
        raise AssertionError("The job succeeded.")

    @property
    def running(self) -> RunningBrowser:
        """The browser that the next job would get."""
        assert self.executor._pool is not None
        current = self.executor._pool._current
        assert current is not None
        return current


@contextmanager
def bench(
    site: Site, folder: Path, options: BrowserOptions = OPTIONS, resolver: Resolver = system_resolver
) -> Iterator[Bench]:
    """Start an executor that may visit the site, and stop it afterwards."""
    executor = BrowserExecutor(replace(options, allowed_hosts=(*options.allowed_hosts, site.authority)), resolver)
    with asyncio.Runner() as runner:
        try:
            runner.run(executor.start())
            yield Bench(runner, executor, site, folder)
        finally:
            runner.run(executor.stop())


def job_of(payload: T, type: str = "browser") -> Job[T]:
    """A first attempt."""
    return Job(uuid.uuid4(), type, payload, attempts=1, max_attempts=5, lease_token=uuid.uuid4())


def artifact(found: ExecutionResult | ExecutionFailed, name: str) -> bytes:
    """Read one artifact."""
    return next(file.path for file in found.artifacts if file.name == name).read_bytes()


def names(found: ExecutionResult | ExecutionFailed) -> set[str]:
    """The names of the artifacts."""
    return {file.name for file in found.artifacts}


def eventually(condition: Callable[[], bool], timeout_seconds: float = 10) -> bool:
    """Wait for something outside this process, which tells nobody when it happens."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
        time.sleep(0.01)
    return True
