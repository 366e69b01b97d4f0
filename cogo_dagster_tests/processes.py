"""Processes of this machine, inspected in the same way on Linux and macOS."""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil  # type: ignore[import-untyped]

_ENDED: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


def exists(pid: int) -> bool:
    """Whether a process or its zombie exists."""
    return bool(psutil.pid_exists(pid))


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in _ENDED
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> set[int]:
    """Return all descendants of a process."""
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def parent(pid: int) -> int:
    """Return the parent of a living process."""
    return int(psutil.Process(pid).ppid())


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it is gone or a zombie."""
    with suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def environment(pid: int) -> dict[str, str]:
    """Return the initial environment of a process; empty if the process has overwritten it, as Chromium does.

    Raises:
        AssertionError: No environment can be read, not even our own.
    """
    assert psutil.Process().environ(), "No environment of a process can be read here."
    return dict(psutil.Process(pid).environ())


def environments(pids: Iterable[int]) -> dict[int, dict[str, str]]:
    """Return the environments of those processes that live."""
    found = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if command_line(pid):
                found[pid] = environment(pid)
    return found


def started_with(name: str, value: str) -> list[int]:
    """Return the living processes with a variable in their initial environment."""
    found = []
    for pid in psutil.pids():
        with suppress(psutil.Error):
            if environment(pid).get(name) == value and lives(pid):
                found.append(pid)
    return found


def running(word: str) -> list[int]:
    """Return the other processes with a word on their command line."""
    return [pid for pid in psutil.pids() if pid != os.getpid() and word in command_line(pid)]
