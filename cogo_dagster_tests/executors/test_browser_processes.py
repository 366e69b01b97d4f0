"""Cleanup of the processes and files of browsers, after a stop and after the death of a worker."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.executors.browser.driver import scratch_folder
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.executors.bench import WAIT_FOREVER, Bench, bench, eventually
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.processes import command_line, descendants, exists


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


WORKER = """
import asyncio, os, signal, sys
from dataclasses import replace
from pathlib import Path
from cogo_dagster.executors.browser import pool
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.queue.executor import Workspace
from cogo_dagster_tests.executors.bench import OPTIONS, job_of

async def no_scripts(browser):
    return ()

async def main():
    pool.scripts_without_glyphs = no_scripts
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda number=number: print(number, flush=True))
    executor = BrowserExecutor(replace(OPTIONS, allowed_hosts=(sys.argv[1],)))
    await executor.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    job = job_of(executor.parse("browser", {"url": f"http://{sys.argv[1]}/"}))
    done = await executor.execute(job, Workspace(Path(sys.argv[2])))
    print(done.result["title"], executor._pool._current.jobs, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
asyncio.run(main())
"""


@contextlib.contextmanager
def worker(site: Site) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    """A separate process with a running browser, and its folder for temporary files."""
    pipe = subprocess.PIPE
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary, tempfile.TemporaryDirectory() as of_job:
        environment = os.environ | {"TMPDIR": temporary, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WORKER, site.authority, of_job]
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=environment, text=True, start_new_session=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield process, Path(temporary)
            finally:
                process.kill()


POLICY = """
import contextlib, os
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
print(os.sched_getscheduler(0))
"""
"""Prints the policy that a process of this system has after it has requested the one for batch processes."""


def policies_of_threads(pids: list[int]) -> set[int]:
    """Return the scheduling policies of all threads of the processes."""
    threads = [int(path.name) for pid in pids for path in Path(f"/proc/{pid}/task").iterdir()]
    assert len(threads) > 20
    return {os.sched_getscheduler(thread) for thread in threads}


def test_a_browser_is_scheduled_as_batch_processes(shared: Bench) -> None:
    """Driver, browser and renderers have the policy with all their threads; the worker keeps its own."""
    possible = int(subprocess.run([sys.executable, "-c", POLICY], check=True, capture_output=True).stdout)
    before = os.sched_getscheduler(0)

    async def policies_of_a_running_job() -> set[int]:
        job = asyncio.create_task(shared.attempt({"url": shared.site.url("/wait"), "actions": WAIT_FOREVER}))
        assert await asyncio.to_thread(shared.site.reached.wait, 20)
        running = shared.running
        policies = policies_of_threads(running.processes.pids())
        job.cancel()
        await asyncio.wait({job})
        return policies

    assert shared.do(policies_of_a_running_job()) == {possible}
    assert os.sched_getscheduler(0) == before


def test_a_worker_with_a_signalled_group_works_and_leaves_nothing_when_killed(site: Site) -> None:
    """SIGINT, SIGHUP and SIGTERM to the worker's process group do not end its browser.

    After kill -9 of the worker, guard, driver, browser and crash handler end, and their files are deleted.
    """
    with worker(site) as (process, temporary):
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.killpg(process.pid, number)
        assert {process.stdout.readline() for _ in range(3)} == {"1\n", "2\n", "15\n"}
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Home 1\n"
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
