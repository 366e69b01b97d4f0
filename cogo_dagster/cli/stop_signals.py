"""SIGTERM and SIGINT for a worker: the first stops it gracefully, the second now, the third ends the process.

However the stop goes, the process ends within the grace period and ten seconds.

Debian's `sh -c 'cogo worker'` stays as our parent, and SIGTERM sent to it ends it without reaching us: the worker
would go on claiming with nobody left to stop it. So a worker stops with its shell.
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
_END_SECONDS: Final = 10.0

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})
_PASS_THROUGH: Final = frozenset({"uv"})
_BACKGROUND_SIGNALS: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
_AMPERSAND: Final = re.compile(r"(?<![&<>])&(?![&>])")


class Stoppable(Protocol):
    """What is asked to stop."""

    def request_stop(self, grace_seconds: float | None = None) -> None:
        """Stop gracefully, or at once with 0."""
        ...


class StoppedEarly(BaseException):
    """A signal came before there was anything to ask: unwind what is open."""


class StopSignals:
    """Handles the signals while it is entered; from the start, so that none finds the process unprepared.

    Args:
        say: Told what a signal does; must be safe to call from a signal handler.
        end: Ends the process; called from another thread with the reason once the time for a stop is over.
    """

    def __init__(self, say: Callable[[str], None], end: Callable[[str], None]) -> None:
        self._say = say
        self._end = end
        self._grace_seconds = 0.0
        self._limit: threading.Timer | None = None
        self._target: Stoppable | None = None
        self._count = 0
        self._before: dict[signal.Signals, object] = {}
        self.stopped_early = False

    def aim_at(self, target: Stoppable, grace_seconds: float) -> None:
        """From now on ask this one to stop, instead of unwinding.

        Args:
            target: What stops within its grace period.
            grace_seconds: That period.
        """
        self._grace_seconds = grace_seconds
        self._target = target

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Put the handlers back; a stop before the work began is no error."""
        if self._limit is not None:
            self._limit.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self.stopped_early = kind is StoppedEarly
        return self.stopped_early

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._count += 1
        count = self._count  # another signal may come while this one is handled
        note_stop()
        self._limit_to(_END_SECONDS + (self._grace_seconds if count == 1 else 0))
        if self._target is None:
            if count == 1:
                raise StoppedEarly
        elif count == 1:
            self._say("Stopping: no more claims, running jobs may finish within the grace; signal again to stop now.")
            self._target.request_stop()
        elif count == 2:
            self._say("Stopping now: running jobs are requeued; signal again to leave them to their leases.")
            self._target.request_stop(0)
        if count > 2:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _limit_to(self, seconds: float) -> None:
        """End the process after so long, whatever still hangs then."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = threading.Timer(seconds, self._end, [f"The stop took longer than {seconds:g} s."])
        self._limit.daemon = True
        self._limit.start()


def stop_with_shell() -> None:
    """Send ourselves SIGTERM once the `sh -c` ends that runs us in its foreground.

    A background job (`sh -c 'cogo worker &'`, nohup) is meant to outlive its shell. Call it before handlers of one's
    own are set. Without Linux's /proc and pidfd it does nothing.
    """
    try:
        shell = _shell_above(os.getppid())
        if shell is not None and not _is_in_background(shell):
            threading.Thread(target=_follow, args=(os.pidfd_open(shell),), name="cogo-shell", daemon=True).start()
    except (OSError, AttributeError):
        return


def _is_in_background(shell: int) -> bool:
    """Whether we are a background job of the shell.

    Shells start one with SIGINT and SIGQUIT ignored (POSIX, 2.11), and nohup ignores SIGHUP. What the shell itself
    ignores says nothing, as we inherited it: then only a command line with an `&` can have background jobs.
    """
    ours, its = _ignored(os.getpid()), _ignored(shell)
    if (ours - its) & _BACKGROUND_SIGNALS:
        return True
    return its >= {signal.SIGINT, signal.SIGQUIT} and _AMPERSAND.search(_words(shell)[2]) is not None


def _ignored(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    mask = int(status.partition("SigIgn:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def _words(pid: int) -> list[str]:
    """Return the program and the words it was called with; all empty for a process that has ended."""
    return [*Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0"), "", ""]


def _shell_above(pid: int) -> int | None:
    """Return the process id of the `sh -c` that is our parent, or our parent's where that is `uv run`."""
    while pid > 1:
        program, *words = _words(pid)
        name = Path(program).name
        if name in _SHELLS:
            return pid if words[0].startswith("-") and "c" in words[0] else None
        if name not in _PASS_THROUGH:
            return None
        # The program's name, in parentheses, may hold spaces.
        pid = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return None


def _follow(shell: int) -> None:
    poll = select.poll()
    poll.register(shell, select.POLLIN)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
