"""Reads the processes below a process: CPU time, zombies, descendants."""

import ctypes
import os
from collections import defaultdict
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_KINDS: Final = {
    b"bare_proxy": "proxy",
    b"network.mojom": "network",
    b"--type=gpu-process": "gpu",
    b"--type=renderer": "renderer",
    b"--type=zygote": "renderer",  # it reaps the renderers
    b"--type=": "other",
    b"chrome": "browser",
    b"node": "node",
    b"python": "python",
}
"""Parts of a command line, in this order, and the kind of program."""
_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process instead of init, so that they can be counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans() -> None:
    """Reap orphans that have ended, as init does."""
    for pid in filter(is_zombie, children(os.getpid())):
        os.waitpid(pid, os.WNOHANG)


def cpu_seconds_by_kind(pid: int) -> dict[str, float]:
    """Return the CPU time of a process and its descendants by kind of program; ended ones count for who reaped them."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for process in {pid, *descendants(pid)}:
        seconds[_kind(process)] += _ticks(process) / _TICKS_PER_SECOND
    return dict(seconds)


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "other"
    for mark, kind in _KINDS.items():
        if mark in command:
            return kind
    return "other"


def descendants(pid: int) -> set[int]:
    """Return all descendants of a process."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        found.update(below)
        waiting.extend(below)
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # the process has ended
        return []


def is_zombie(pid: int) -> bool:
    """Whether the process has ended and was not reaped."""
    return _stat(pid)[:1] == ["Z"]


def exists(pid: int) -> bool:
    """Whether the process exists; a zombie counts."""
    return Path(f"/proc/{pid}").exists()


def _ticks(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:15]))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; none if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
