"""The child processes of a browser and their memory."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessTree:
    """Processes and their descendants; what does not change is read once."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)
        self._parents: dict[int, int] = {}

    def memory(self) -> dict[int, int]:
        """Return the anonymous memory of each process by pid; empty if there is no /proc.

        The processes share their other memory, which the sum of what `ps` shows would count several times.
        """
        return {pid: anonymous_bytes(pid) for pid in self.pids()}

    def pids(self) -> list[int]:
        """Return the processes that exist."""
        self._update_parents()
        children: defaultdict[int, list[int]] = defaultdict(list)
        for pid, parent in self._parents.items():
            children[parent].append(pid)
        found: list[int] = []
        left = [pid for pid in self._roots if pid in self._parents]
        while left:
            pid = left.pop()
            found.append(pid)
            left.extend(children.pop(pid, ()))
        return found

    def _update_parents(self) -> None:
        try:
            present = {int(name) for name in os.listdir(_PROCESSES) if name.isdigit()}  # noqa: PTH208 - faster
        except OSError:
            present = set()
        for pid in self._parents.keys() - present:
            del self._parents[pid]
        for pid in present - self._parents.keys():
            # The second field is a name that may contain spaces and parentheses; the fourth is the parent.
            fields = _read(pid, "stat").rpartition(b")")[2].split()
            if fields:
                self._parents[pid] = int(fields[1])


def tree_memory_bytes(roots: Iterable[int]) -> int | None:
    """Return the anonymous memory of these processes and their descendants, or None if there is no /proc."""
    return sum(ProcessTree(roots).memory().values()) if _PROCESSES.is_dir() else None


def is_renderer(pid: int) -> bool:
    """Whether this process of a browser runs the scripts of pages."""
    return b"--type=renderer" in _read(pid, "cmdline")


def network_process(browser_pid: int) -> int | None:
    """Return the process that opens all connections of a browser; None if it is unknown or hides its files."""
    for pid in ProcessTree([browser_pid]).pids():
        if b"network.mojom.NetworkService" in _read(pid, "cmdline"):
            return pid if os.access(_PROCESSES / str(pid) / "fd", os.R_OK) else None
    return None


def anonymous_bytes(pid: int) -> int:
    """Return the resident memory without what is shared; fields two and three of /proc/PID/statm, proc(5)."""
    fields = _read(pid, "statm").split()
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if fields else 0


def _read(pid: int, name: str) -> bytes:
    try:
        file = os.open(f"{_PROCESSES}/{pid}/{name}", os.O_RDONLY)
    except OSError:  # the process has ended
        return b""
    try:
        return os.read(file, 65_536)
    except OSError:
        return b""
    finally:
        os.close(file)
