"""The guard process: runs one program and ends all its descendants, daemonized ones included.

It is a child of the worker and the parent of the program. On Linux it is the subreaper of its descendants
(prctl(2), PR_SET_CHILD_SUBREAPER): an orphaned process becomes the guard's child, even in another session, so that no
children left means no descendants left. On other systems it can only find the program's process group. It ends the
descendants when the program has ended, when the worker closes the guard's standard input, and when the worker ends.

It starts for each Git command and each browser, so it imports as few modules as possible: most of its start would be
the imports of `typing`, `json`, `contextlib` and of the enumerations of `signal`.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from typing import Any, Final
else:
    import _signal as signal

KILL_SECONDS: Final = 5.0
"""How long to try to kill descendants; those of another account or stuck in the kernel remain."""

_ORPHAN_GRACE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_CODE: Final = "import sys; sys.path.append(sys.argv[1]); import program; program.main(sys.argv[2:])"
"""Runs this file from its bytecode; a file that is run by its path is compiled each time."""
_CAUGHT: Final = frozenset(
    getattr(signal, f"SIG{name}")
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "PIPE", "TSTP", "CHLD")
)


def guard_command(
    command: Sequence[str],
    *,
    worker_pid: int,
    grace_seconds: float,
    kept_bytes: int | None = None,
    pid_file: str | None = None,
    remove: str | None = None,
) -> list[str]:
    """Return the command line that runs a command under a guard.

    Args:
        worker_pid: The process that starts the guard; its death ends the command.
        grace_seconds: How long the command may take to exit after SIGTERM; at most a second if the worker is dead.
        kept_bytes: How many bytes of the end of the output are reported to `command.py`; the command runs while the
            guard's standard input is open. None leaves the three standard streams to the command.
        pid_file: Receives the command's process id.
        remove: A folder to delete at the end.
    """
    options = [str(worker_pid), str(grace_seconds), str(kept_bytes or 0), pid_file or "", remove or ""]
    return [sys.executable, "-I", "-S", "-B", "-c", _CODE, os.path.dirname(__file__), *options, *command]  # noqa: PTH120


class _Suppressed:
    """`contextlib.suppress`, without its import."""

    def __init__(self, *errors: type[BaseException]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._errors)


class Guard:
    """Runs one command; the options are those of `guard_command`, in its order."""

    def __init__(self, options: Sequence[str], command: Sequence[str]) -> None:
        worker_pid, grace_seconds, kept_bytes, pid_file, remove = options
        self._command = command
        self._grace_seconds = float(grace_seconds)
        self._kept_bytes = int(kept_bytes) or None
        self._pid_file = pid_file or None
        self._remove = remove or None
        self._worker_pid = int(worker_pid)
        self._libc = _libc()
        self._poll = select.poll()
        self._child = 0
        self._exit_code: int | None = None
        self._childless = False
        self._end_requested = False
        self._orphaned = False
        self._output = -1
        self._printed = bytearray()
        self._wake = self._wake_writer = self._worker = -1

    def run(self) -> int:
        """Run the command to its end; return its exit code, negative for a signal."""
        self._prepare()
        problem = self._start()
        if problem is not None:
            self._report({"errno": problem})
            return 127
        self._report({"pid": self._child})
        while self._exit_code is None and not (self._end_requested or self._orphaned):
            self._wait_for_event(_POLL_SECONDS)
        if self._exit_code is None:
            self._terminate()
        left = self._kill_descendants()
        self._read_output()
        self._report({"exit_code": self._exit_code, "left": left})
        self._write(bytes(self._printed))
        if self._remove is not None:
            _remove(self._remove)
        return self._exit_code if self._exit_code is not None else -signal.SIGKILL

    def _prepare(self) -> None:
        with _Suppressed(PermissionError):  # already a session leader
            os.setsid()
        # Handled, not ignored: exec resets handled signals, so that the command has the defaults even under nohup.
        for number in signal.valid_signals():
            if number in _CAUGHT or signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, _ignore_signal)
        self._wake, self._wake_writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._wake_writer, False)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the worker blocks signals while it starts the guard
        if self._libc is not None:
            self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._poll.register(self._wake, select.POLLIN)
        with _Suppressed(OSError, AttributeError):  # no such process, or pidfd_open is not supported
            self._worker = os.pidfd_open(self._worker_pid)
            self._poll.register(self._worker, select.POLLIN)
        self._orphaned = os.getppid() != self._worker_pid

    def _start(self) -> int | None:
        """Start the command; return the errno if it cannot be started."""
        failed_reader, failed_writer = os.pipe()
        output_writer = -1
        if self._kept_bytes is not None:
            self._output, output_writer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            self._become_command(failed_writer, output_writer)
        os.close(failed_writer)
        if self._pid_file is not None:
            with open(self._pid_file, "w") as note:  # noqa: PTH123 - pathlib is slow to import
                note.write(str(self._child))
        self._set_up_streams(output_writer)
        problem = os.read(failed_reader, 16)
        os.close(failed_reader)
        return int(problem) if problem else None

    def _become_command(self, failed: int, output: int) -> None:
        try:
            os.setsid()
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if output >= 0:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(output, 1)
                os.dup2(output, 2)
            signal.set_wakeup_fd(-1)
            os.execvp(self._command[0], list(self._command))  # noqa: S606 - the purpose of this module
        except OSError as error:
            os.write(failed, str(error.errno).encode())
        finally:
            os._exit(127)

    def _set_up_streams(self, output_writer: int) -> None:
        """Watch standard input for the worker's hang-up, or leave the standard streams to the command."""
        if output_writer >= 0:
            os.close(output_writer)
            os.set_blocking(self._output, False)
            self._poll.register(self._output, select.POLLIN)
            self._poll.register(0, 0)  # hang-up only: the worker does not write
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)

    def _wait_for_event(self, seconds: float) -> None:
        """Wait for an event, at most *seconds*, and handle it."""
        happened = {number for number, _ in self._poll.poll(seconds * 1_000)}
        if self._wake in happened:
            with _Suppressed(BlockingIOError):
                os.read(self._wake, 4_096)
        if 0 in happened:
            self._end_requested = True
            self._poll.unregister(0)
        if self._worker in happened:
            self._poll.unregister(self._worker)
            self._orphaned = True
        if self._worker < 0 and os.getppid() != self._worker_pid:
            self._orphaned = True
        if self._output in happened:
            self._read_output()
        self._reap()

    def _reap(self) -> None:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._exit_code = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            self._childless = True

    def _read_output(self) -> None:
        """Read the available output of the command; keep the last `kept_bytes` of it."""
        if self._output < 0:
            return
        assert self._kept_bytes is not None  # noqa: S101 - there is a pipe only then
        for _ in range(64):  # bounded, so that other events are handled
            try:
                piece = os.read(self._output, 65_536)
            except BlockingIOError:
                break
            if not piece:
                self._poll.unregister(self._output)
                os.close(self._output)
                self._output = -1
                break
            self._printed += piece
        if len(self._printed) > 2 * self._kept_bytes:
            del self._printed[: -self._kept_bytes]

    def _terminate(self) -> None:
        _kill_group(self._child, signal.SIGTERM)
        grace_seconds = min(self._grace_seconds, _ORPHAN_GRACE_SECONDS) if self._orphaned else self._grace_seconds
        deadline = time.monotonic() + grace_seconds
        while self._exit_code is None and (left := deadline - time.monotonic()) > 0:
            self._wait_for_event(left)

    def _kill_descendants(self) -> int:
        """Kill every descendant; return how many could not be killed."""
        deadline = time.monotonic() + KILL_SECONDS
        self._reap()
        while not self._childless and time.monotonic() < deadline:
            _kill_all(_stopped_descendants())
            _kill_group(self._child, signal.SIGKILL)
            self._wait_for_event(0.02)
        return 0 if self._childless else len(_descendants())

    def _report(self, line: Mapping[str, int | None]) -> None:
        """Write the values that are known, for `command.py`."""
        known = (f"{name}={value}" for name, value in line.items() if value is not None)
        self._write(" ".join(known).encode() + b"\n")

    def _write(self, content: bytes) -> None:
        """Write to the worker, unless it has closed the pipe."""
        left = memoryview(content[-self._kept_bytes :] if self._kept_bytes else b"")
        with _Suppressed(OSError):
            while left:
                left = left[os.write(1, left) :]


def _libc() -> Any:
    """Return the C library on Linux, for prctl; None if this build of Python has no ctypes."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # noqa: PLC0415 - may be missing

        return ctypes.CDLL(None)
    except (ImportError, OSError):
        return None


def _ignore_signal(*_: object) -> None:
    """Signal handler: the wakeup file descriptor wakes the loop, and no signal ends the guard."""


def _kill_group(leader: int, number: signal.Signals) -> None:
    with _Suppressed(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _kill_all(pids: set[int], number: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with _Suppressed(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _stopped_descendants() -> set[int]:
    """Stop all descendants and return them, so that none forks while they are killed."""
    stopped: set[int] = set()
    for _ in range(100):
        fresh = _descendants() - stopped
        if not fresh:
            break
        _kill_all(fresh, signal.SIGSTOP)
        stopped |= fresh
    return stopped


def _descendants() -> set[int]:
    """Return all descendants of this process; empty without /proc (proc(5))."""
    parents = None if sys.platform != "linux" or _children_are_listed() else _parents()
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        pid = waiting.pop()
        below = _children(pid) if parents is None else parents.get(pid, [])
        waiting += [child for child in below if child not in found]
        found.update(below)
    return found


def _children_are_listed() -> bool:
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110 - pathlib is slow to import


def _children(pid: int) -> list[int]:
    """Return the children of a process, in microseconds; scanning all processes takes 10 ms and more.

    A command that forks and exits every millisecond can only be caught this way.
    """
    found: list[int] = []
    with _Suppressed(OSError):  # no such process, or no /proc
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - as above
            with _Suppressed(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as children:  # noqa: PTH123 - as above
                found += map(int, children.read().split())
    return found


def _parents() -> dict[int, list[int]]:
    """Return the children of each process, for kernels without CONFIG_PROC_CHILDREN."""
    found: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - as above
        with _Suppressed(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - as above
            # The program's name in parentheses may contain any character; the fields follow it.
            fields = stat.read().rpartition(b")")[2].split()
            found.setdefault(int(fields[1]), []).append(int(name))
    return found


def _remove(folder: str) -> None:
    import shutil  # noqa: PLC0415 - slow to import

    shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> None:
    """Run the command that follows the options, and exit with its exit code."""
    code = Guard(arguments[:5], arguments[5:]).run()
    sys.exit(code if code >= 0 else 128 - code)
