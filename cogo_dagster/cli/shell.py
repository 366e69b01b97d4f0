"""The shell between a supervisor and a worker.

Debian's `sh -c 'cogo worker'` stays as our parent, and SIGTERM sent to it ends it without reaching us: the worker
would go on claiming with nobody left to stop it. So it stops with its shell.
"""

import os
import select
import signal
from pathlib import Path
from threading import Thread
from typing import Final

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})
_PASS_THROUGH: Final = frozenset({"uv"})


def stop_with_shell() -> None:
    """Send ourselves SIGTERM once the `sh -c` ends that runs us in its foreground.

    A background job (`sh -c 'cogo worker &'`, nohup) is meant to outlive its shell: those ignore SIGINT or SIGHUP.
    Call it before handlers of one's own are set. Without Linux's /proc and pidfd it does nothing.
    """
    if signal.SIG_IGN in (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)):
        return
    try:
        shell = _shell_above(os.getppid())
        if shell is not None:
            Thread(target=_follow, args=(os.pidfd_open(shell),), name="cogo-shell", daemon=True).start()
    except (OSError, AttributeError):
        return


def _shell_above(pid: int) -> int | None:
    """Return the process id of the `sh -c` that is our parent, or our parent's where that is `uv run`."""
    while pid > 1:
        program, *words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
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
