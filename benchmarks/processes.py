"""Reads the processes below a process: CPU time, zombies, descendants."""

import ctypes
import os
from collections import Counter
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER: Final = 36
_ROLES: Final = {
    b"--type=renderer": "renderer",
    b"--type=zygote": "renderer",
    b"NetworkService": "network",
    b"--type=": "GPU",
    b"playwright/driver": "Node.js",
    b"benchmarks.peers.bare_proxy": "proxy",
    b"chrom": "browser",
}
"""The roles of processes by a part of their command lines; the first one that fits."""


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process instead of init, so that they can be counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans() -> None:
    """Reap orphans that have ended, as init does."""
    for pid in filter(is_zombie, children(os.getpid())):
        os.waitpid(pid, os.WNOHANG)


def cpu_seconds_by_role(pid: int) -> dict[str, float]:
    """Return the CPU time of a process and its descendants by what they do, with those that one of them reaped.

    Renderers that have ended count as "renderer", since the zygote, which starts and reaps them, does.
    """
    ticks: Counter[str] = Counter()
    for below in {pid, *descendants(pid)}:
        ticks["Python" if below == pid else _role(below)] += _ticks(below)
    return {role: number / _TICKS_PER_SECOND for role, number in ticks.items()}


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


def _role(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # the process has ended
        return "other"
    named = (name for part, name in _ROLES.items() if part in command)
    return next(named, "other")


def _ticks(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:15]))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; none if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
