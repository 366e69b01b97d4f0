"""The memory use of a browser and its child processes."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")


def tree_memory_bytes(roots: Iterable[int]) -> int | None:
    """Return the anonymous memory of these processes and all their descendants, or None if there is no /proc.

    A browser's processes share their other memory, which the sum of what `ps` shows would count several times
    (RssAnon in /proc/PID/status, proc(5)).
    """
    if not _PROCESSES.is_dir():
        return None
    children: defaultdict[int, list[int]] = defaultdict(list)
    anonymous_bytes: dict[int, int] = {}
    for folder in _PROCESSES.iterdir():
        if folder.name.isdigit() and (status := _status(folder)) is not None:
            pid = int(folder.name)
            children[int(status.get("PPid", 0))].append(pid)
            anonymous_bytes[pid] = int(status.get("RssAnon", "0 kB").split()[0]) * 1024
    total_bytes, left = 0, list(roots)
    while left:
        pid = left.pop()
        total_bytes += anonymous_bytes.pop(pid, 0)
        left.extend(children.pop(pid, ()))
    return total_bytes


def _status(folder: Path) -> dict[str, str] | None:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:  # the process has ended
        return None
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
