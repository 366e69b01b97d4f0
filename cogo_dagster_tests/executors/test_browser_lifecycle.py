"""Browsers that die or are replaced, jobs that are cancelled, and the environment of the browsers."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cogo_dagster.executors.browser import evidence, executor, run
from cogo_dagster.executors.browser.executor import DEATH_CLASSES, BrowserExecutor
from cogo_dagster.executors.browser.memory import tree_memory_bytes
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted, Workspace
from cogo_dagster.queue.stopping import STOP
from cogo_dagster_tests.executors.bench import OPTIONS, WAIT_FOREVER, Bench, bench, eventually, job_of, names
from cogo_dagster_tests.executors.site import serving
from cogo_dagster_tests.processes import command_line, descendants, environments, exists, parent

ErrorT = TypeVar("ErrorT", bound=Exception)

CANARY = "canary-7f3a"
SECRETS = (
    "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "COGO_DATABASE_URL", "DAGSTER_POSTGRES_URL", "FIGMA_API_TOKEN",
    "GITHUB_TOKEN", "SLACK_WEBHOOK_URL", "WEBHOOK_SECRET", "COGO_VAULT_KEYS", "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An executor whose browsers the tests of this file end; the environment has secrets while it runs."""
    options = replace(OPTIONS, allowed_hosts=("127.0.0.1",))
    with pytest.MonkeyPatch.context() as patch, serving() as site:
        for name in SECRETS:
            patch.setenv(name, CANARY)
        patch.setenv("LC_ALL", "C.UTF-8")
        with bench(site, tmp_path_factory.mktemp("lifecycle"), options) as started:
            yield started


async def waiting_job(started: Bench, timeout_seconds: float | None = None) -> "asyncio.Task[Any]":
    """Start a job that waits, and return its task once its page has loaded."""
    started.site.reached.clear()
    payload = {"url": started.site.url("/wait"), "actions": WAIT_FOREVER}
    job = asyncio.create_task(started.attempt(payload, timeout_seconds=timeout_seconds))
    assert await asyncio.to_thread(started.site.reached.wait, 20)
    return job


def in_mid_job(
    started: Bench, victim: str, expected: type[ErrorT], afterwards: Callable[[], None] = lambda: None
) -> ErrorT:
    """Start a job that waits, kill a process of its browser once the page has loaded, and return the job's error."""

    async def scenario() -> ErrorT:
        job = await waiting_job(started)
        running = started.running
        await asyncio.to_thread(_harm, running, victim)
        afterwards()
        with pytest.raises(expected) as ended:
            await asyncio.wait_for(job, 30)
        while victim != "page" and running.ended() is None:  # noqa: ASYNC110 - the next test must not get it
            await asyncio.sleep(0.01)
        return ended.value

    return started.do(scenario())


def processes_of(running: RunningBrowser) -> set[int]:
    """Return the processes of a browser: the guard, the driver, and the browser with its children."""
    guard = parent(running.driver_pid)
    assert guard != os.getpid()
    return {guard, *descendants(guard)}


def _harm(running: RunningBrowser, what: str) -> None:
    if what == "browser":
        os.kill(running.browser_pid, signal.SIGKILL)
    elif what == "driver":
        os.kill(running.driver_pid, signal.SIGKILL)
    elif what == "everything":
        for pid in processes_of(running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    else:
        for pid in descendants(running.browser_pid):
            if "--type=renderer" in command_line(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("victim", "signalled_first"), [("page", "worker"), ("page", "browser"), ("everything", "browser")]
)
def test_a_browser_that_dies_around_a_stop_is_an_interruption(own: Bench, victim: str, signalled_first: str) -> None:
    """If a stop signals every process of a cgroup, in any order, the job is interrupted and does not fail."""
    if signalled_first == "worker":
        STOP.note_stop()
        in_mid_job(own, victim, Interrupted)
    else:
        in_mid_job(own, victim, Interrupted, threading.Timer(0.3, STOP.note_stop).start)


def test_a_browser_that_died_between_jobs_is_replaced_once(own: Bench) -> None:
    """Cancelling the first job after the death does not cancel the launch, and the next jobs use the new browser."""
    pool = own.executor._pool
    assert pool is not None
    pid = own.running.browser_pid
    if own.running.alive:  # an earlier test has not ended it
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not exists(pid))

    async def scenario() -> None:
        job = asyncio.create_task(own.attempt({"url": own.site.url()}))
        while pool._launching is None or pool._launching.done():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(job, 10)

    own.do(scenario())
    for _ in range(2):
        assert own.run({"url": own.site.url()}).result["status"] == 200
    assert own.running.browser_pid != pid
    assert len(pool._open) == 1


@pytest.mark.parametrize("error_class", sorted(DEATH_CLASSES))
@pytest.mark.parametrize("signalled_first", ["worker", "browser"])
def test_every_death_around_a_stop_is_an_interruption(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error_class: str, signalled_first: str
) -> None:
    """Whichever process of the browser ended, before or after the worker's signal, the job is interrupted."""

    async def attempt(*_: object) -> None:
        if signalled_first == "browser":
            threading.Timer(0.05, STOP.note_stop).start()
        raise ExecutionFailed("It ended.", error_class=error_class, retryable=True)

    if signalled_first == "worker":
        STOP.note_stop()
    executor = BrowserExecutor(OPTIONS)
    monkeypatch.setattr(executor, "_attempt", attempt)
    job = job_of(executor.parse("browser", {"url": "https://example.com/"}))
    with pytest.raises(Interrupted):
        asyncio.run(executor.execute(job, Workspace(folder)))


@pytest.mark.parametrize(
    ("victim", "error_class"), [("browser", "browser_gone"), ("driver", "driver_gone"), ("page", "page_crash")]
)
def test_a_browser_that_dies_fails_one_attempt(own: Bench, victim: str, error_class: str) -> None:
    """The job fails with a retryable error class, and the next job gets a working browser."""
    before = own.usable().browser_pid
    error = in_mid_job(own, victim, ExecutionFailed)
    assert (error.error_class, error.retryable) == (error_class, True)
    assert own.run({"url": own.site.url()}).result["title"] == "Home"
    if victim == "page":
        assert "page.html is missing: The page crashed." in str(error.detail)
    else:
        assert own.running.browser_pid != before
        assert eventually(lambda: not exists(before))


def test_a_network_error_after_a_stop_is_an_interruption(own: Bench) -> None:
    """After a stop, a network error is an interruption: the browser's network process may end first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/"
    assert own.fail({"url": closed}).error_class == "connection"
    STOP.note_stop()
    with pytest.raises(Interrupted):
        own.run({"url": closed})


def test_a_browser_that_hangs_is_killed(own: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the job's time limit a hanging browser is killed, and the next job gets another one."""
    monkeypatch.setattr(run, "CLOSE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(run, "TRACE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(evidence, "FILE_TIMEOUT_SECONDS", 0.5)
    hung = own.usable()

    async def scenario() -> None:
        job = await waiting_job(own, timeout_seconds=3)
        os.kill(hung.browser_pid, signal.SIGSTOP)
        with pytest.raises(ExecutionFailed, match="exceeded its time limit of 3 seconds"):
            await asyncio.wait_for(job, 20)

    own.do(scenario())
    assert own.run({"url": own.site.url()}).result["status"] == 200
    assert own.running is not hung
    assert eventually(lambda: not exists(hung.browser_pid))


def test_a_call_that_never_returns_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job ends when its browser dies, even if a pending Playwright call never returns."""

    class FailingTransport(run.BrowserAttempt):
        """Waits forever in a dead browser."""

        def __init__(self) -> None:
            self.abandoned = False

        async def run(self) -> None:
            await asyncio.Event().wait()

        def ended(self) -> ExecutionFailed:
            return ExecutionFailed("It ended.", error_class="browser_gone", retryable=True)

        async def abandon(self, work: "asyncio.Task[Any]") -> None:
            self.abandoned = True
            work.cancel()

    monkeypatch.setattr(executor, "WATCH_SECONDS", 0.01)
    attempt = FailingTransport()
    with pytest.raises(ExecutionFailed, match=r"It ended\."):
        asyncio.run(asyncio.wait_for(executor._run_watched(attempt, 60), 10))
    assert attempt.abandoned


def test_cancelling_closes_the_context_and_leaves_the_browser_working(own: Bench) -> None:
    """Cancelling a job closes its context within a bounded time, and the next job uses the same browser."""
    running = own.usable()

    async def scenario() -> None:
        job = await waiting_job(own)
        assert len(running.browser.contexts) == 1
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(job, 10)
        assert running.browser.contexts == []
        assert running.alive

    own.do(scenario())
    assert own.run({"url": own.site.url()}).result["status"] == 200
    assert own.running is running


@pytest.mark.linux("anonymous memory is read from /proc")
def test_a_browser_above_the_memory_limit_is_replaced(own: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser above the memory limit is replaced before the next job; below it, it is kept."""
    payload = {"url": own.site.url(), "screenshot": False}
    first = own.usable()
    measured = tree_memory_bytes([first.driver_pid, first.browser_pid])
    assert measured is not None
    assert 20_000_000 < measured < OPTIONS.memory_mb_per_browser * 1_000_000
    with monkeypatch.context() as low:
        own.change(low, memory_mb_per_browser=1)
        own.run(payload | {"actions": [{"do": "wait", "ms": 1_500}]})
        assert own.running is first
        assert first.memory_bytes > 20_000_000
    own.run(payload)
    assert own.running is first
    own.change(monkeypatch, memory_mb_per_browser=1)
    own.run(payload)
    assert own.running is not first


def test_a_browser_is_replaced_after_its_number_of_jobs(own: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two jobs the browser is replaced; the old one is closed once its last job has ended."""
    payload = {"url": own.site.url(), "screenshot": False}
    pool, first = own.executor._pool, own.usable()
    assert pool is not None
    own.change(monkeypatch, jobs_per_browser=2)
    own.run(payload)
    assert own.running is first

    async def overlapping() -> None:
        """Hold the first browser open, as a long job does."""
        async with pool.browser() as held:
            assert held is first
            await own.attempt(payload)
            assert own.running is not first
            assert first.alive
        assert await asyncio.to_thread(eventually, lambda: not exists(first.browser_pid))

    own.do(overlapping())
    assert own.running.alive
    assert own.running.jobs == 1


def test_jobs_run_concurrently(own: Bench) -> None:
    """Several jobs run concurrently in one browser, and one that fails does not affect the others."""
    running = own.usable()

    async def scenario() -> list[Any]:
        payloads = [{"url": own.site.url(path)} for path in ("/", "/list", "/missing", "/form")]
        return list(await asyncio.gather(*map(own.attempt, payloads), return_exceptions=True))

    outcomes = own.do(scenario())
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "ExecutionResult", "ExecutionResult", "ExecutionFailed", "ExecutionResult",
    ]  # fmt: skip
    assert (running.in_use, running.jobs) == (0, 4)
    assert own.running is running
    error = outcomes[2]
    assert isinstance(error, ExecutionFailed)
    assert "evidence.json" in names(error)


def test_the_browser_sees_none_of_the_workers_secrets(own: Bench) -> None:
    """Neither the driver nor any browser process has a variable that is not on the allow-list."""
    running = own.usable()
    own.run({"url": own.site.url()})
    assert {os.environ[name] for name in SECRETS} == {CANARY}
    found = environments(processes_of(running))
    assert len(found) > 3
    for pid, variables in found.items():
        assert CANARY not in variables.values(), command_line(pid)
    assert found[running.driver_pid]["LC_ALL"] == "C.UTF-8"
    assert "PLAYWRIGHT_NODEJS_PATH" not in os.environ
