"""The processors and memory that this process may use, and the number of concurrent jobs that follows from them."""

import os
from pathlib import Path
from typing import Final

MAX_DEFAULT_SLOTS: Final = 32
SLOTS_PER_CORE: Final = 2
"""A page also waits for its server; more pages at once only slow each other down."""
BYTES_PER_SLOT: Final = 750_000_000
RESERVED_BYTES: Final = 1_000_000_000
"""For the system, the worker, and the processes of a browser that serve all pages."""

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMORY_LIMITS: Final = (_CGROUP / "memory.max", _CGROUP / "memory" / "memory.limit_in_bytes")
_MEMORY: Final = Path("/proc/meminfo")


def default_slots(cores: float, memory_bytes: int | None) -> int:
    """Return how many pages a machine can open at once: two per core, if there is memory for them; at least one.

    Args:
        cores: Processors that this process may use.
        memory_bytes: Memory that it may use; None if it is unknown.
    """
    by_cores = int(cores * SLOTS_PER_CORE)
    by_memory = by_cores if memory_bytes is None else (memory_bytes - RESERVED_BYTES) // BYTES_PER_SLOT
    return max(1, min(by_cores, by_memory, MAX_DEFAULT_SLOTS))


def slots_of_this_machine() -> int:
    """Return `default_slots` for this machine, or for the limits of its container."""
    return default_slots(usable_cores(), usable_memory_bytes())


def usable_cores() -> float:
    """Return the processors that this process may use; a container may have a share of one."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    return min(cores, int(quota) / int(period)) if quota.isdigit() and period.strip().isdigit() else cores


def usable_memory_bytes() -> int | None:
    """Return the memory of the machine or the limit of the container, whichever is lower; None if it is unknown."""
    limits = [int(text) for path in _MEMORY_LIMITS if (text := _read(path).strip()).isdigit()]
    for line in _read(_MEMORY).splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            limits.append(int(value.split()[0]) * 1024)
    return min(limits, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeError):
        return ""
