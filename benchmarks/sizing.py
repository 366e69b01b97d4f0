"""Size of a deployment by its number of jobs: `uv run python -m benchmarks.sizing [JOBS_A_DAY ...] [--seconds 2]`.

A linear model of the measurements in docs/performance.md: `benchmarks.queue` (WAL and processor time of a job),
`benchmarks.depth` (bytes of a finished job), `benchmarks.hosts` and `benchmarks.worker_memory` (workers). The table of
docs/deploy.md is its output. Artifacts are not part of it: their bytes are in the artifact store.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAY_SECONDS: Final = 86_400
DAYS: Final = (1_000, 100_000, 10_000_000)
"""Jobs a day of the table."""

ROW_BYTES: Final = 1_070
"""Of a finished job with its indexes: 11.8 GB for 11,000,000 jobs (PostgreSQL 15, fillfactor 50)."""
WAL_BYTES: Final = 848 + 354
"""Of a job: claim and settlement, and its enqueue."""
WORKER_WAL_BYTES: Final = 7_300 * 60 * 24
"""Of an idle worker a day: heartbeats and claims."""
SERVER_SECONDS: Final = 569e-6
"""Processor time of the server for a job that is claimed and settled alone; batches take a twelfth of it."""
WORKER_MIB: Final = 68
"""Memory of a worker without a browser."""
BROWSER_WORKER_MIB: Final = 462
"""Highest memory of a worker with its browser, with small pages."""
POOL_CONNECTIONS: Final = 9
"""Of a busy worker: COGO_POOL_SIZE (8), and one for LISTEN."""
PURGE_RATE: Final = 17_700
"""Finished jobs that a purge deletes per second."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a deployment has to do.

    Attributes:
        jobs_a_day: Number of jobs.
        seconds: Mean run time of a job.
        peak: Ratio of the busiest hour to the mean.
        slots: Slots of a worker; two per core by default.
        kept_days: Retention of finished jobs (JOB_TTL_DAYS).
    """

    jobs_a_day: int
    seconds: float = 2
    peak: float = 3
    slots: int = 4
    kept_days: int = 30


@dataclass(frozen=True, slots=True)
class Size:
    """What the load needs."""

    peak_rate: float
    workers: int
    connections: int
    rows: int
    database_bytes: float
    wal_bytes_a_day: float
    server_cores: float
    purge_seconds_a_day: float


def size_of(load: Load) -> Size:
    """Return what a load needs: at least one worker, with slots for the busiest hour."""
    peak_rate = load.jobs_a_day / DAY_SECONDS * load.peak
    workers = max(math.ceil(peak_rate * load.seconds / load.slots), 1)
    rows = load.jobs_a_day * load.kept_days
    return Size(
        peak_rate=peak_rate,
        workers=workers,
        connections=workers * POOL_CONNECTIONS,
        rows=rows,
        database_bytes=rows * ROW_BYTES,
        wal_bytes_a_day=load.jobs_a_day * WAL_BYTES + workers * WORKER_WAL_BYTES,
        server_cores=peak_rate * SERVER_SECONDS,
        purge_seconds_a_day=load.jobs_a_day / PURGE_RATE,
    )


def table(loads: Sequence[Load]) -> str:
    """Return the sizes as a table in Markdown."""
    sizes = [size_of(load) for load in loads]
    rows = [
        ("jobs/s in the busiest hour", [f"{size.peak_rate:,.2f}" for size in sizes]),
        ("workers", [f"{size.workers:,}" for size in sizes]),
        ("connections without a pooler, at most", [f"{size.connections:,}" for size in sizes]),
        ("finished jobs in the database", [f"{size.rows:,}" for size in sizes]),
        ("size of the table `jobs`", [_bytes(size.database_bytes) for size in sizes]),
        ("WAL a day", [_bytes(size.wal_bytes_a_day) for size in sizes]),
        ("processors of the server in the busiest hour", [f"{size.server_cores:.4f}" for size in sizes]),
        ("memory of the workers without a browser", [_mib(size.workers * WORKER_MIB) for size in sizes]),
        ("memory of the workers with a browser", [_mib(size.workers * BROWSER_WORKER_MIB) for size in sizes]),
        ("purge a day", [f"{size.purge_seconds_a_day:,.0f} s" for size in sizes]),
    ]
    lines = ["| jobs a day | " + " | ".join(f"{load.jobs_a_day:,}" for load in loads) + " |"]
    lines.append("| --- |" + " ---: |" * len(loads))
    return "\n".join([*lines, *(f"| {name} | {' | '.join(values)} |" for name, values in rows)])


def _mib(count: int) -> str:
    return f"{count:,} MiB" if count < 10_000 else f"{count / 1024:,.0f} GiB"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:,.3g} {unit}"
        count /= 1_000
    return f"{count:,.3g} TB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs_a_day", type=int, nargs="*", default=list(DAYS))
    parser.add_argument("--seconds", type=float, default=Load.__dataclass_fields__["seconds"].default)
    options = parser.parse_args()
    print(table([Load(count, seconds=options.seconds) for count in options.jobs_a_day]))


if __name__ == "__main__":
    main()
