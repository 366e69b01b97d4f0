"""Handle SIGTERM and SIGINT: the first starts a graceful shutdown, the second a force stop; the third ends the process.

In any case the process ends within the grace period plus ten seconds.

With Debian's dash, `sh -c 'cogo worker'` keeps the shell as the parent process. SIGTERM ends the shell without reaching
the worker, which would continue to claim jobs. Therefore a worker stops when its shell ends.
"""

import os
import re
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Protocol, Self

from cogo_dagster.queue.stopping import note_stop

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_EXIT_SECONDS: Final = 10.0

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})
_PASS_THROUGH: Final = frozenset({"uv"})
_BACKGROUND_SIGNALS: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
_AMPERSAND: Final = re.compile(r"(?<![&<>])&(?![&>])")


class Stoppable(Protocol):
    """An object that can be stopped."""

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Stop within the grace period; 0 stops immediately."""
        ...


class StoppedEarly(BaseException):
    """A signal arrived before there was an object to stop; unwinds the open context managers."""


class StopSignals:
    """A context manager that handles the signals. Enter it first, so that no signal has its default action.

    Attributes:
        stopped_early: Whether a signal arrived before there was an object to stop.
        interrupted: Whether the first signal was SIGINT, as of Ctrl-C.

    Args:
        log: Called with a message for each signal; must be safe in a signal handler.
        end: Ends the process; called from another thread, with the reason, if the stop takes too long.
    """

    def __init__(self, log: Callable[[str], None], end: Callable[[str], None]) -> None:
        self._log = log
        self._end = end
        self._grace_seconds = 0.0
        self._limit: threading.Timer | None = None
        self._target: Stoppable | None = None
        self._count = 0
        self._before: dict[signal.Signals, object] = {}
        self.stopped_early = False
        self.interrupted = False

    def set_target(self, target: Stoppable, grace_seconds: float) -> None:
        """Set the object to stop on a signal, instead of unwinding.

        Args:
            target: The object to stop.
            grace_seconds: Its grace period in seconds.
        """
        self._grace_seconds = grace_seconds
        self._target = target

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Restore the handlers; suppress `StoppedEarly`."""
        if self._limit is not None:
            self._limit.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self.stopped_early = kind is StoppedEarly
        return self.stopped_early

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._count += 1
        count = self._count  # another signal may come while this one is handled
        if count == 1:
            self.interrupted = number == signal.SIGINT
        note_stop()
        self._start_limit(_EXIT_SECONDS + (self._grace_seconds if count == 1 else 0))
        if self._target is None:
            if count == 1:
                raise StoppedEarly
        elif count == 1:
            self._log(
                "Stopping: no more claims; jobs may finish within the grace period. Send the signal again to stop now."
            )
            self._target.request_stop()
        elif count == 2:
            self._log("Stopping now: running jobs are requeued. Send the signal again to exit without requeueing them.")
            self._target.request_stop(0)
        if count > 2:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _start_limit(self, seconds: float) -> None:
        """End the process after this time, even if something hangs."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = threading.Timer(seconds, self._end, [f"The stop took longer than {seconds:g} s."])
        self._limit.daemon = True
        self._limit.start()


def stop_with_shell() -> None:
    """Send SIGTERM to this process when the `sh -c` that runs it in the foreground ends.

    A background job (`sh -c 'cogo worker &'`, nohup) may outlive its shell. Must be called before signal handlers are
    set. Does nothing without /proc and pidfd of Linux.
    """
    try:
        shell = _shell_above(os.getppid())
        if shell is not None and not _is_in_background(shell):
            threading.Thread(target=_follow, args=(os.pidfd_open(shell),), name="cogo-shell", daemon=True).start()
    except (OSError, AttributeError):
        return


def _is_in_background(shell: int) -> bool:
    """Whether this process is a background job of the shell.

    Shells start background jobs with SIGINT and SIGQUIT ignored (POSIX, 2.11), and nohup ignores SIGHUP. Signals that
    the shell itself ignores are inherited and prove nothing; then the process is taken as a background job if the
    command line of the shell contains `&`.
    """
    ours, its = _ignored(os.getpid()), _ignored(shell)
    if (ours - its) & _BACKGROUND_SIGNALS:
        return True
    return its >= {signal.SIGINT, signal.SIGQUIT} and _AMPERSAND.search(_command_line(shell)[2]) is not None


def _ignored(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    mask = int(status.partition("SigIgn:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def _command_line(pid: int) -> list[str]:
    """Return the program and its arguments, padded with two empty strings; all empty for a process that has ended."""
    return [*Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0"), "", ""]


def _shell_above(pid: int) -> int | None:
    """Return the process ID of the `sh -c` that is the parent, or the parent of a parent `uv run`."""
    while pid > 1:
        program, *arguments = _command_line(pid)
        name = Path(program).name
        if name in _SHELLS:
            return pid if arguments[0].startswith("-") and "c" in arguments[0] else None
        if name not in _PASS_THROUGH:
            return None
        # The name of the program, in parentheses, may contain spaces.
        pid = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return None


def _follow(shell: int) -> None:
    poll = select.poll()
    poll.register(shell, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
