"""The memory use of a browser and its child processes."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def tree_memory(roots: Iterable[int]) -> dict[int, int]:
    """Return the anonymous memory of these processes and all their descendants by pid; empty if there is no /proc.

    A browser's processes share their other memory, which the sum of what `ps` shows would count several times. Reads
    one file of every process of the machine.
    """
    children = _children()
    found: dict[int, int] = {}
    left = list(roots)
    while left:
        pid = left.pop()
        found[pid] = _anonymous_bytes(pid)
        left.extend(children.pop(pid, ()))
    return found if children else {}


def tree_memory_bytes(roots: Iterable[int]) -> int | None:
    """Return the sum of `tree_memory`, or None if there is no /proc."""
    found = tree_memory(roots)
    return sum(found.values()) if found else None


def is_renderer(pid: int) -> bool:
    """Whether this process of a browser runs the scripts of pages."""
    try:
        return b"--type=renderer" in (_PROCESSES / str(pid) / "cmdline").read_bytes()
    except OSError:  # the process has ended
        return False


def _children() -> dict[int, list[int]]:
    """Return the pids of all children by the pid of their parent."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    try:
        pids = [name for name in os.listdir(_PROCESSES) if name.isdigit()]  # noqa: PTH208 - a Path for each is slow
    except OSError:
        return {}
    for pid in pids:
        # The second field is a name that may contain spaces and parentheses; the fourth is the parent.
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if fields:
            children[int(fields[1])].append(int(pid))
    return children


def _anonymous_bytes(pid: int) -> int:
    """Return the resident memory without what is shared; fields two and three of /proc/PID/statm, proc(5)."""
    fields = _read(pid, "statm").split()
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if fields else 0


def _read(pid: int | str, name: str) -> bytes:
    try:
        file = os.open(f"{_PROCESSES}/{pid}/{name}", os.O_RDONLY)
    except OSError:  # the process has ended
        return b""
    try:
        return os.read(file, 4096)
    except OSError:
        return b""
    finally:
        os.close(file)
