"""Browsers that respond late, and attempts that fail while their time limit is handled."""

import asyncio
import gc
import os
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from cogo_dagster.executors.browser import executor, process, run
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.folders import LockedFolder


@pytest.mark.parametrize("responds", [True, False])
def test_a_browser_that_responds_late_gets_no_further_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch, responds: bool
) -> None:
    """After an abandoned attempt the browser is asked; if the answer is late, other jobs get another browser."""

    async def answer(browser: object) -> int:
        await asyncio.sleep(0 if responds else 60)
        return 1

    monkeypatch.setattr(process, "_browser_pid", answer)
    monkeypatch.setattr(process, "RESPONSE_SECONDS", 0.05)

    async def scenario() -> bool:
        scratch = LockedFolder.make("cogo-test-", folder)
        running = RunningBrowser(MagicMock(), MagicMock(), scratch, (os.getpid(), os.getpid()))
        await running.flush_stale_error()
        return running.alive

    assert asyncio.run(scenario()) is responds


def test_a_failure_during_the_time_limit_is_not_logged() -> None:
    """If an attempt fails while its evidence is collected, asyncio logs no exception of its task."""
    logged: list[str] = []

    class FailingLate(run.BrowserAttempt):
        """Fails while the evidence is collected."""

        def __init__(self) -> None:
            self.failing = asyncio.Event()

        async def run(self) -> None:
            await self.failing.wait()
            raise ExecutionFailed("It failed late.", error_class="timeout", retryable=True)

        def ended(self) -> None:
            return None

        async def collect_evidence(self, error: ExecutionFailed) -> None:  # noqa: ARG002 - as the real one
            self.failing.set()
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))
        with pytest.raises(ExecutionFailed, match="time limit"):
            await executor._run_watched(FailingLate(), 0.05)
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert logged == []
