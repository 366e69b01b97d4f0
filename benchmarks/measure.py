"""Measures costs: commits, WAL, CPU time of the server and of its clients."""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_FLUSH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one job."""

    commits: float
    wal_bytes: float
    server_cpu_us: float
    client_cpu_us: float

    def to_json(self) -> dict[str, float]:
        """Return plain numbers, rounded to four decimals."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Meter:
    """Reads counters before and after a measurement.

    Args:
        watcher: A connection to the measured database; its own few commits are counted too.
        postmaster: The pid of the server.
    """

    def __init__(self, watcher: "psycopg.Connection[Any]", postmaster: int, clients: Iterable[int]) -> None:
        self._watcher = watcher
        self._postmaster = postmaster
        self._clients = tuple(clients)

    def start(self) -> None:
        """Read all counters."""
        self._commits = self._read_commits()
        self._wal, self._server, self._client = self._read()

    def stop(self) -> None:
        """Read all counters except commits, while the clients are running."""
        wal, server, client = self._read()
        self._used = (wal - self._wal, server - self._server, client - self._client)

    def cost(self, jobs: int) -> Cost:
        """Return the cost per job. Call it after the clients have ended: backends report commits at their end."""
        others = (
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and backend_type = 'client backend' and state <> 'idle in transaction'"  # the holder of a snapshot
        )
        deadline = time.monotonic() + _FLUSH_SECONDS
        while self._watcher.execute(others).fetchone() != (0,) and time.monotonic() < deadline:
            time.sleep(0.01)
        wal, server, client = self._used
        commits = self._read_commits() - self._commits
        return Cost(commits / jobs, wal / jobs, server / jobs * 1e6, client / jobs * 1e6)

    def _read(self) -> tuple[int, float, float]:
        row = self._watcher.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0]), server_cpu_seconds(self._postmaster), sum(map(cpu_seconds, self._clients))

    def _read_commits(self) -> int:
        row = self._watcher.execute(
            "select xact_commit from pg_stat_database where datname = current_database()"
        ).fetchone()
        assert row is not None
        return int(row[0])


def server_cpu_seconds(postmaster: int) -> float:
    """Return the CPU time of the server's processes, including those that have ended."""
    alive = 0
    for pid in (postmaster, *_children(postmaster)):
        with contextlib.suppress(OSError):  # it has ended, and is included in its parent's time
            alive += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    ended = sum(map(int, _stat(postmaster)[13:15]))
    return alive / 1e9 + ended / _TICKS_PER_SECOND


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process with all its threads."""
    return sum(map(int, _stat(pid)[11:13])) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; the second is a name that may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
