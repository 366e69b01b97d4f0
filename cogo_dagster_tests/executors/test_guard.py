"""The guard: all descendants of a command end with it, also if the worker is killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.executors.guard import CommandEnded, GuardedCommand
from cogo_dagster.executors.guard import program as guard_program
from cogo_dagster.quality.gate_jobs.process import StepResult, run
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.executors.bench import eventually
from cogo_dagster_tests.processes import descendants, lives

pytestmark = pytest.mark.linux("on other systems the guard ends only the process group")

PYTHON = sys.executable
ENV = {"PATH": os.environ["PATH"]}

DETACHED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        with open(sys.argv[1], "a") as note:
            note.write(f"{os.getpid()}\\n")
        time.sleep(300)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
exec(sys.argv[2])
"""
"""Daemonizes a process that writes its pid to a file, then runs the code in its second argument."""

RESTARTING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    with open(sys.argv[1], "a") as note:
        note.write(f"{os.getpid()}\\n")
    time.sleep(0.001)
"""
"""Forks into a new process and session continuously."""

WORKER = """
import asyncio, signal, sys
from pathlib import Path
from cogo_dagster.quality.gate_jobs.process import run
for number in (1, 2, 15):
    signal.signal(number, lambda number, _: Path(sys.argv[1], f"signal-{number}").touch())
asyncio.run(run("build", sys.argv[2:], Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"}, 300))
"""

TEN = """
import asyncio, sys
from pathlib import Path
import psutil
from cogo_dagster.quality.gate_jobs.process import run
from cogo_dagster.queue.executor import ExecutionFailed
def go(command):
    asyncio.run(run("step", [command], Path(sys.argv[1]), {"PATH": "/usr/bin:/bin"}, 60))
go("true")
before = psutil.Process().num_fds()
for _ in range(5):
    go("true")
    try:
        go("no-such-program")
    except ExecutionFailed as failed:
        assert "cannot be started" in str(failed), failed
    else:
        raise AssertionError("It was started.")
print(before, psutil.Process().num_fds(), *(child.pid for child in psutil.Process().children(recursive=True)))
"""


def program(code: str, *arguments: str) -> list[str]:
    """Return the command line of a Python program."""
    return [PYTHON, "-c", code, *arguments]


def run_step(command: list[str], folder: Path, timeout_seconds: float = 60) -> StepResult:
    """Run a command like a step of a gate job."""
    return asyncio.run(run("step", command, folder, ENV, timeout_seconds))


def pids_in(pid_file: Path) -> list[int]:
    """Return the pids in a file."""
    return [int(line) for line in pid_file.read_text().splitlines()] if pid_file.exists() else []


@contextlib.contextmanager
def worker(folder: Path, command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A separate process that runs a command as a worker does; killed at the end."""
    with subprocess.Popen([PYTHON, "-c", WORKER, str(folder), *command], start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_daemonized_process_ends_with_its_step(tmp_path: Path) -> None:
    """A daemonized process is killed with its step, and its open output pipe does not delay the result."""
    pid_file = tmp_path / "pids"
    ended = run_step(program(DETACHED, str(pid_file), "print('built')"), tmp_path)
    assert (ended.exit_code, ended.output) == (0, "built\n")
    assert ended.seconds < 5
    assert [lives(pid) for pid in pids_in(pid_file)] == [False]


def test_a_step_that_times_out_leaves_nothing(tmp_path: Path) -> None:
    """On a timeout, the command and its daemonized process are killed."""
    pid_file = tmp_path / "pids"
    with pytest.raises(ExecutionFailed, match=r"longer than 1\.5 s"):
        run_step(program(DETACHED, str(pid_file), "time.sleep(300)"), tmp_path, 1.5)
    assert [lives(pid) for pid in pids_in(pid_file)] == [False]


def test_a_killed_worker_leaves_nothing(tmp_path: Path) -> None:
    """After kill -9 of the worker, its guard, the command and the command's daemon end within seconds."""
    pid_file = tmp_path / "pids"
    with worker(tmp_path, program(DETACHED, str(pid_file), "time.sleep(300)")) as killed:
        assert eventually(lambda: bool(pids_in(pid_file)))
        everything = descendants(killed.pid)
        assert set(pids_in(pid_file)) < everything
        killed.kill()
        killed.wait()
    assert eventually(lambda: not any(map(lives, everything)), 5), [pid for pid in everything if lives(pid)]


def test_killed_and_started_again_one_build_runs(tmp_path: Path) -> None:
    """If the worker is killed twice, the build of each has ended before the next one starts."""
    pid_file = tmp_path / "pids"
    for _ in range(2):
        pid_file.unlink(missing_ok=True)
        with worker(tmp_path, program(DETACHED, str(pid_file), "time.sleep(300)")) as killed:
            assert eventually(lambda: bool(pids_in(pid_file)))
            built = pids_in(pid_file)
            assert len(built) == 1
            killed.kill()
            killed.wait()
        assert eventually(lambda: not any(map(lives, built)), 5)  # noqa: B023 - called in this round


def test_a_process_that_forks_continuously_is_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM and forks every millisecond is killed."""
    pid_file = tmp_path / "pids"
    ended = run_step(program(RESTARTING, str(pid_file)), tmp_path)
    size = pid_file.stat().st_size
    time.sleep(0.05)
    grown = pid_file.stat().st_size - size
    living = [pid for pid in pids_in(pid_file) if lives(pid)]
    pid_file.rename(tmp_path / "old")
    pid_file.mkdir()  # a process that survived cannot write, and ends
    assert (ended.exit_code, grown, living) == (0, 0, [])


def test_signals_to_the_workers_group_reach_no_command(tmp_path: Path) -> None:
    """Signals to the worker's process group do not reach the command."""
    pid_file, go_file = tmp_path / "pids", tmp_path / "go"
    waits = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nopen('done', 'w').close()"
    with worker(tmp_path, program(DETACHED, str(pid_file), waits)) as stopped:
        assert eventually(lambda: bool(pids_in(pid_file)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.killpg(stopped.pid, number)
        assert eventually(lambda: len(list(tmp_path.glob("signal-*"))) == 3)
        go_file.touch()
        assert stopped.wait(10) == 0
    assert (tmp_path / "done").exists()


def test_a_command_has_its_signals_at_their_default(tmp_path: Path) -> None:
    """A command has default signal handlers even if the worker ignores a signal, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ended = run_step(["grep", "SigIgn", "/proc/self/status"], tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    [_, ignored] = ended.output.split()
    reserved_by_libc = 1 << 31 | 1 << 32  # signals 32 and 33, which no program can set
    assert int(ignored, 16) & ~reserved_by_libc == 0


def test_a_signal_to_everything_ends_the_command_alone(tmp_path: Path) -> None:
    """If every process is signalled, as when systemd stops a cgroup, the guard survives and reports the exit code."""
    note = tmp_path / "pids"
    script = f"printf '%s\\n' $PPID $$ > {note}.new; mv {note}.new {note}; exec sleep 300"

    async def scenario() -> CommandEnded:
        command = GuardedCommand.start(["sh", "-c", script], tmp_path, ENV, grace_seconds=1, kept_bytes=100)
        try:
            assert await asyncio.to_thread(eventually, note.exists)
            for pid in pids_in(note):  # the guard, then the command
                os.kill(pid, signal.SIGTERM)
            return await command.wait()
        finally:
            await command.end()

    assert asyncio.run(scenario()).exit_code == -signal.SIGTERM


def test_a_killed_guard_makes_the_attempt_retryable(tmp_path: Path) -> None:
    """If the guard is killed, the attempt is retryable, and the command ends too."""
    pid_file = tmp_path / "pids"
    code = "import os, time; open('pids', 'w').write(str(os.getpid())); os.kill(os.getppid(), 9); time.sleep(300)"
    with pytest.raises(ExecutionFailed) as failed:
        run_step(program(code), tmp_path)
    assert (failed.value.error_class, failed.value.retryable) == ("guard_gone", True)
    assert eventually(lambda: not any(map(lives, pids_in(pid_file))))


def test_output_is_bounded_and_never_blocks_the_loop(tmp_path: Path) -> None:
    """Of 200 MB of output the last 4 MB are kept, invalid bytes are replaced, and the event loop is not blocked."""
    code = "import os\nfor _ in range(3200): os.write(1, bytes(range(256)) * 256)\nos.write(1, b'the end')"
    turns, longest_seconds = 0, 0.0

    async def scenario() -> StepResult:
        nonlocal turns, longest_seconds
        work = asyncio.create_task(run("step", program(code), tmp_path, ENV, 60))
        while not work.done():
            before = time.thread_time()  # other processes may take the time of the clock
            await asyncio.sleep(0.001)
            turns, longest_seconds = turns + 1, max(longest_seconds, time.thread_time() - before)
        return await work

    ended = asyncio.run(scenario())
    assert ended.output.endswith("the end")
    assert "\ufffd" in ended.output
    assert len(ended.output) <= 4 * 1024 * 1024
    assert longest_seconds < 0.2
    assert turns > 20


def test_commands_leave_no_open_file_and_no_zombie(tmp_path: Path) -> None:
    """Ten commands, half of which fail, leave no open file descriptor and no child of a process of their own."""
    done = subprocess.run([PYTHON, "-c", TEN, str(tmp_path)], capture_output=True, text=True, check=True)
    before, after, *left = done.stdout.split()
    assert after == before
    assert left == []


@pytest.mark.parametrize("listed", [True, False])
def test_descendants_are_found_with_and_without_the_kernels_lists(
    monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """Descendants are found with and without CONFIG_PROC_CHILDREN."""
    monkeypatch.setattr(guard_program, "_children_are_listed", lambda: listed)
    with subprocess.Popen(["sh", "-c", "sleep 300 & echo; wait"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        family = {child.pid, *descendants(child.pid)}
        assert len(family) == 2
        assert family <= guard_program._descendants()
        for pid in family:
            os.kill(pid, signal.SIGKILL)


def test_without_proc_no_descendants_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, as on macOS, no descendants are found."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "listdir", missing_folder)
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert guard_program._descendants() == set()
    assert guard_program._libc() is None


def missing_folder(path: str) -> list[str]:
    """Raise FileNotFoundError."""
    raise FileNotFoundError(path)
