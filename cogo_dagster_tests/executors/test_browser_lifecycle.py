"""Browsers that die, jobs that are cancelled, and cleanup of processes and files."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cogo_dagster.executors.browser import executor, run
from cogo_dagster.executors.browser.driver import scratch_folder
from cogo_dagster.executors.browser.memory import tree_memory_bytes
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted
from cogo_dagster.queue.stopping import STOP
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench, eventually, names
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.processes import command_line, descendants, environments, exists

ErrorT = TypeVar("ErrorT", bound=Exception)

WAIT_FOREVER = [{"do": "wait_for", "selector": "#never", "timeout_ms": 60_000}]


def in_mid_job(
    started: Bench, victim: str, expected: type[ErrorT], afterwards: Callable[[], None] = lambda: None
) -> ErrorT:
    """Start a job that waits, kill a process of its browser once the page has loaded, and return the job's error."""
    started.site.reached.clear()

    async def scenario() -> ErrorT:
        running = started.running
        job = asyncio.create_task(started.attempt({"url": started.site.url("/wait"), "actions": WAIT_FOREVER}))
        assert await asyncio.to_thread(started.site.reached.wait, 20)
        await asyncio.to_thread(_harm, running, victim)
        afterwards()
        with pytest.raises(expected) as ended:
            await asyncio.wait_for(job, 30)
        return ended.value

    return started.do(scenario())


def _harm(running: RunningBrowser, what: str) -> None:
    if what == "browser":
        os.kill(running.browser_pid, signal.SIGKILL)
    elif what == "driver":
        os.kill(running.driver_pid, signal.SIGKILL)
    elif what == "everything":
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    else:
        for pid in descendants(running.browser_pid):
            if "--type=renderer" in command_line(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["browser", "driver", "page", "everything"])
@pytest.mark.parametrize("signalled_first", ["worker", "browser"])
def test_a_browser_that_dies_around_a_stop_is_an_interruption(
    site: Site, folder: Path, victim: str, signalled_first: str
) -> None:
    """If a stop signals every process of a cgroup, in any order, the job is interrupted and does not fail."""
    STOP.reset()
    with bench(site, folder) as started:
        try:
            if signalled_first == "worker":
                STOP.note_stop()
                in_mid_job(started, victim, Interrupted)
            else:
                in_mid_job(started, victim, Interrupted, threading.Timer(0.3, STOP.note_stop).start)
        finally:
            STOP.reset()


@pytest.mark.parametrize(
    ("victim", "error_class"), [("browser", "browser_gone"), ("driver", "driver_gone"), ("page", "page_crash")]
)
def test_a_browser_that_dies_fails_one_attempt(site: Site, folder: Path, victim: str, error_class: str) -> None:
    """The job fails with a retryable error class, and the next job gets a working browser."""
    with bench(site, folder) as started:
        before = started.running.browser_pid
        error = in_mid_job(started, victim, ExecutionFailed)
        assert (error.error_class, error.retryable) == (error_class, True)
        assert started.run({"url": site.url()}).result["title"] == "Home"
        if victim != "page":
            assert started.running.browser_pid != before
            assert eventually(lambda: not exists(before))


def test_a_network_error_after_a_stop_is_an_interruption(site: Site, folder: Path) -> None:
    """After a stop, a network error is an interruption: the browser's network process may end first."""
    STOP.reset()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    closed = f"http://{address}/"
    with bench(site, folder, replace(OPTIONS, allowed_hosts=(address,))) as started:
        assert started.fail({"url": closed}).error_class == "connection"
        try:
            STOP.note_stop()
            with pytest.raises(Interrupted):
                started.run({"url": closed})
        finally:
            STOP.reset()


def test_a_browser_that_hangs_is_killed(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the job's time limit a hanging browser is killed, and the next job gets another one."""
    monkeypatch.setattr(run, "CLOSE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(run, "TRACE_TIMEOUT_SECONDS", 0.5)
    with bench(site, folder) as started:
        hung = started.running

        async def scenario() -> None:
            payload = {"url": site.url("/wait"), "actions": WAIT_FOREVER}
            job = asyncio.create_task(started.attempt(payload, timeout_seconds=3))
            assert await asyncio.to_thread(site.reached.wait, 20)
            os.kill(hung.browser_pid, signal.SIGSTOP)
            with pytest.raises(ExecutionFailed, match="exceeded its time limit of 3 seconds"):
                await asyncio.wait_for(job, 20)

        started.do(scenario())
        assert started.run({"url": site.url()}).result["status"] == 200
        assert started.running is not hung
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


def test_a_browser_that_died_between_jobs_is_replaced(site: Site, folder: Path) -> None:
    """A browser that ended while no job used it is replaced."""
    with bench(site, folder) as started:
        pid = started.running.browser_pid
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not exists(pid))
        for _ in range(2):
            assert started.run({"url": site.url()}).result["status"] == 200


def test_cancelling_closes_the_context_and_leaves_the_browser_working(site: Site, folder: Path) -> None:
    """Cancelling a job closes its context within a bounded time, and the next job uses the same browser."""
    with bench(site, folder) as started:

        async def scenario() -> None:
            running = started.running
            job = asyncio.create_task(started.attempt({"url": site.url("/wait"), "actions": WAIT_FOREVER}))
            assert await asyncio.to_thread(site.reached.wait, 20)
            assert len(running.browser.contexts) == 1
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(job, 10)
            assert running.browser.contexts == []
            assert running.alive

        before = started.running.browser_pid
        started.do(scenario())
        assert started.run({"url": site.url()}).result["status"] == 200
        assert started.running.browser_pid == before


def test_cancelling_a_job_does_not_cancel_a_launch(site: Site, folder: Path) -> None:
    """Cancelling a job during a launch does not cancel the launch, and the next job uses the browser."""
    with bench(site, folder) as started:
        started.running.kill()

        async def scenario() -> None:
            job = asyncio.create_task(started.attempt({"url": site.url()}))
            pool = started.executor._pool
            assert pool is not None
            while pool._launching is None or pool._launching.done():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(job, 10)

        started.do(scenario())
        assert started.run({"url": site.url()}).result["status"] == 200
        pool = started.executor._pool
        assert pool is not None
        assert len(pool._open) == 1


@pytest.mark.linux("anonymous memory is read from /proc")
def test_a_browser_above_the_memory_limit_is_replaced(site: Site, folder: Path) -> None:
    """A browser above the memory limit is replaced before the next job; below it, it is kept."""
    with bench(site, folder, replace(OPTIONS, memory_mb_per_browser=1)) as started:
        first = started.running
        started.run({"url": site.url(), "screenshot": False, "actions": [{"do": "wait", "ms": 1_500}]})
        assert started.running is first
        assert first.memory_bytes > 20_000_000
        started.run({"url": site.url(), "screenshot": False})
        assert started.running is not first
    with bench(site, folder, OPTIONS) as started:
        first = started.running
        measured = tree_memory_bytes([first.driver_pid, first.browser_pid])
        assert measured is not None
        assert 20_000_000 < measured < OPTIONS.memory_mb_per_browser * 1_000_000
        started.run({"url": site.url(), "screenshot": False})
        assert started.running is first


def test_a_browser_is_replaced_after_its_number_of_jobs(site: Site, folder: Path) -> None:
    """After two jobs the browser is replaced; the old one is closed once its last job has ended."""
    with bench(site, folder, replace(OPTIONS, jobs_per_browser=2)) as started:
        first = started.running
        for _ in range(2):
            started.run({"url": site.url(), "screenshot": False})
            assert started.running is first

        async def overlapping() -> None:
            """Hold the first browser open, as a long job does."""
            first.in_use += 1
            await started.attempt({"url": site.url(), "screenshot": False})
            assert first.alive

        started.do(overlapping())
        second = started.running
        assert second is not first
        assert second.jobs == 1
    assert eventually(lambda: not exists(first.browser_pid))
    assert not exists(second.driver_pid)


def test_nothing_is_left_after_stop(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After stop no process, zombie or file is left, even if a job was running."""
    scratch = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = descendants(os.getpid())
    with bench(site, folder) as started:
        mine = descendants(os.getpid()) - before
        assert len(mine) > 3

        async def leave_one_running() -> "asyncio.Task[object]":
            job = asyncio.create_task(started.attempt({"url": site.url("/wait"), "actions": WAIT_FOREVER}))
            assert await asyncio.to_thread(site.reached.wait, 20)
            mine.update(descendants(os.getpid()) - before)
            return job

        job = started.do(leave_one_running())
        started.do(asyncio.wait_for(started.executor.stop(), 20))
        with pytest.raises(ExecutionFailed):
            started.do(asyncio.wait_for(job, 20))
    assert eventually(lambda: not any(exists(pid) for pid in mine)), {pid: command_line(pid) for pid in mine}
    scratch.rmdir()  # fails unless it is empty


def test_the_browser_sees_none_of_the_workers_secrets(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the driver nor any browser process has a variable that is not on the allow-list."""
    canary = "canary-7f3a"
    for name in (
        "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "COGO_DATABASE_URL", "DAGSTER_POSTGRES_URL", "FIGMA_API_TOKEN",
        "GITHUB_TOKEN", "SLACK_WEBHOOK_URL", "WEBHOOK_SECRET", "COGO_VAULT_KEYS", "AWS_SECRET_ACCESS_KEY",
    ):  # fmt: skip
        monkeypatch.setenv(name, canary)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before = descendants(os.getpid())
    with bench(site, folder) as started:
        started.run({"url": site.url()})
        found = environments(descendants(os.getpid()) - before)
    assert len(found) > 3
    for pid, variables in found.items():
        assert canary not in variables.values(), command_line(pid)
    assert found[started_driver(found)]["LC_ALL"] == "C.UTF-8"
    assert "PLAYWRIGHT_NODEJS_PATH" not in os.environ


def started_driver(environments: dict[int, dict[str, str]]) -> int:
    """Return the driver's process id, the lowest one."""
    return min(environments)


def test_jobs_run_concurrently(site: Site, folder: Path) -> None:
    """Several jobs run concurrently in one browser, and one that fails does not affect the others."""
    with bench(site, folder) as started:

        async def scenario() -> list[Any]:
            payloads = [{"url": site.url(path)} for path in ("/", "/list", "/missing", "/form")]
            return list(await asyncio.gather(*map(started.attempt, payloads), return_exceptions=True))

        outcomes = started.do(scenario())
        assert [type(outcome).__name__ for outcome in outcomes] == [
            "ExecutionResult", "ExecutionResult", "ExecutionFailed", "ExecutionResult",
        ]  # fmt: skip
        assert started.running.in_use == 0
        assert started.running.jobs == 4
        error = outcomes[2]
        assert isinstance(error, ExecutionFailed)
        assert "evidence.json" in names(error)


WORKER = """
import asyncio, os, signal, sys
from dataclasses import replace
from pathlib import Path
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import Workspace
from cogo_dagster_tests.executors.bench import OPTIONS, job_of

async def main():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda number=number: print(number, flush=True))
    executor = BrowserExecutor(replace(OPTIONS, allowed_hosts=(sys.argv[1],)))
    await executor.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    done = await executor.execute(job_of(executor.parse("browser", {"url": f"http://{sys.argv[1]}/"})), Workspace())
    print(done.result["title"], executor._pool._current.jobs, flush=True)
    await executor.stop()
asyncio.run(main())
"""


@contextlib.contextmanager
def worker(site: Site) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    """A separate process with a running browser, and its folder for temporary files."""
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        environment = os.environ | {"TMPDIR": temporary, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WORKER, site.authority]
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=environment, text=True, start_new_session=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield process, Path(temporary)
            finally:
                process.kill()


def test_a_killed_worker_leaves_nothing(site: Site) -> None:
    """After kill -9 of the worker, guard, driver, browser and crash handler end, and their files are deleted."""
    with worker(site) as (process, temporary):
        children = descendants(process.pid)
        assert len(children) > 3
        process.kill()
        assert eventually(lambda: not any(map(exists, children)), 5), [command_line(pid) for pid in children]
        assert eventually(lambda: not list(temporary.iterdir()), 5)


def test_files_of_a_killed_guard_are_deleted_by_the_next_browser(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a killed worker and guard are deleted when the next browser starts."""
    with worker(site) as (process, temporary):
        children = descendants(process.pid)
        for pid in (process.pid, *children):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not any(map(exists, children)), 5), [command_line(pid) for pid in children]
        assert len(list(temporary.glob("cogo-browser-*"))) == 1
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))

        def is_swept() -> bool:
            scratch_folder().remove()
            return list(temporary.iterdir()) == []

        assert eventually(is_swept, 10)  # a process that was just starting holds the lock until it ends


def test_signals_to_the_workers_group_do_not_reach_its_browser(site: Site) -> None:
    """SIGINT, SIGHUP and SIGTERM to the worker's process group do not end its browser."""
    with worker(site) as (process, _):
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.killpg(process.pid, number)
        assert {process.stdout.readline() for _ in range(3)} == {"1\n", "2\n", "15\n"}
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Home 1\n"
        assert process.wait(20) == 0
