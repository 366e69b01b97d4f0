"""Progress bars and Ctrl-C on a real terminal."""

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.forks import Started, start
from cogo_dagster_tests.queue.steps import add

OLD_JOBS = (
    "insert into jobs (id, type, payload, status, finished_at, created_at) "
    "select gen_random_uuid(), 'browser', '{}', 'succeeded', now() - interval '40 days', now() - interval '40 days' "
    "from generate_series(1, 1200)"
)


@dataclass
class Screen:
    """A command on a pseudo-terminal of 80 columns."""

    process: Started
    terminal: int
    seen: str = ""

    def until(self, condition: Callable[[str], bool]) -> None:
        """Read until the output meets a condition."""
        while not condition(self.seen):
            try:
                self.seen += os.read(self.terminal, 4_096).decode(errors="replace")
            except OSError:  # the command has ended
                assert condition(self.seen), self.seen
                return

    def ctrl_c(self) -> int:
        """Send SIGINT to the process group, as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Read the remaining output, and return the exit code."""
        try:
            while chunk := os.read(self.terminal, 4_096):
                self.seen += chunk.decode(errors="replace")
        except OSError:
            pass
        self.process.communicate(timeout=30)
        assert self.process.returncode is not None
        return self.process.returncode


@contextmanager
def on_screen(cogo: Terminal, *arguments: str) -> Iterator[Screen]:
    """Start a command on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start(arguments, cogo.folder, cogo.environment | {"TERM": "xterm-256color"}, [theirs] * 3)
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        os.close(ours)


def test_commands_show_their_progress(cogo: Terminal, owner: Owner) -> None:
    """The bar has the number of lines of a file, or of jobs that a purge or its dry run reads; the result follows."""
    owner.execute(OLD_JOBS)
    lines = "\n".join(f'{{"url": "https://shop.example/{number}"}}' for number in range(600))
    (cogo.folder / "jobs.jsonl").write_text(lines)
    commands = ("enqueue browser @jobs.jsonl", "purge jobs --dry-run", "purge jobs --no-dry-run")
    shown = []
    for line in commands:
        with on_screen(cogo, *line.split()) as screen:
            assert screen.end() == 0
            shown.append(screen.seen)
    enqueued, planned, purged = shown
    assert "/600" in enqueued
    assert "Enqueued 600 jobs." in enqueued
    assert "/1200" in planned
    assert "By type: browser 1,200." in planned
    assert "/1200" in purged
    assert "1,200 jobs" in planned
    assert "1,200 jobs" in purged
    assert "By type: browser 1,200." not in purged


def test_ctrl_c_during_a_purge_exits_with_130(cogo: Terminal, owner: Owner, queue: Queue) -> None:
    """Without a traceback, while the database does not respond."""
    owner.execute(OLD_JOBS)
    owner.execute("begin; lock table jobs in share row exclusive mode")
    with on_screen(cogo, "purge", "jobs", "--no-dry-run") as screen:
        screen.until(lambda seen: "/1200" in seen)
        code = screen.ctrl_c()
    owner.execute("rollback")
    assert code == 130
    assert "Traceback" not in screen.seen
    assert queue.list_jobs(max_jobs=1) != []


def test_ctrl_c_ends_a_watch_with_130(cogo: Terminal, queue: Queue) -> None:
    """The job is unchanged."""
    job = add(queue)
    with on_screen(cogo, "watch", str(job)) as screen:
        screen.until(lambda seen: "queued" in seen)
        assert screen.ctrl_c() == 130
    assert "Traceback" not in screen.seen
    assert queue.get_jobs([job])[0].status == "queued"
