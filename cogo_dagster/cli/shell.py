"""The shell between a supervisor and a worker.

Debian's `sh -c 'cogo worker'` stays as our parent, and SIGTERM sent to it ends it without reaching us: the worker
would go on claiming with nobody left to stop it. So it stops with its shell.
"""

import os
import re
import select
import signal
from pathlib import Path
from threading import Thread
from typing import Final

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})
_PASS_THROUGH: Final = frozenset({"uv"})
_BACKGROUND_SIGNALS: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
_AMPERSAND: Final = re.compile(r"(?<![&<>])&(?![&>])")


def stop_with_shell() -> None:
    """Send ourselves SIGTERM once the `sh -c` ends that runs us in its foreground.

    A background job (`sh -c 'cogo worker &'`, nohup) is meant to outlive its shell. Call it before handlers of one's
    own are set. Without Linux's /proc and pidfd it does nothing.
    """
    try:
        shell = _shell_above(os.getppid())
        if shell is not None and not _is_in_background(shell):
            Thread(target=_follow, args=(os.pidfd_open(shell),), name="cogo-shell", daemon=True).start()
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
