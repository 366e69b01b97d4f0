"""Memory of one worker with its browser over many jobs: `uv run --group bench python -m benchmarks.browser_memory`.

Runs 10,000 browser jobs of a small page on one worker, samples the memory of its processes every second, and prints a
table by tenths of the jobs, the trend, and the processes that outlive the worker. `--jobs` runs fewer, `--http`
runs them without a browser, and `--jobs-per-browser 5` replaces the browser 40 times as often.

Resident memory includes the pages of files, such as libraries, that have been read so far; the anonymous memory is what
the worker has allocated.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.browser_site import site
from benchmarks.experiments import enqueue, template
from benchmarks.measure import resident_bytes
from benchmarks.peers import COGO, Peer
from benchmarks.processes import adopt_orphans, children, descendants, exists, is_zombie, reap_orphans
from benchmarks.programs import Program
from benchmarks.server import BenchServer, bench_server
from cogo_dagster.executors.browser.memory import anonymous_bytes, tree_memory_bytes

MEBI: Final = 1024**2
SAMPLE_SECONDS: Final = 1.0
STEPS: Final = 10
END_TIMEOUT_SECONDS: Final = 10.0


@dataclass(slots=True)
class Step:
    """The samples of one tenth of the jobs, in MiB and in processes."""

    own: list[float] = field(default_factory=list)
    allocated: list[float] = field(default_factory=list)
    tree: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    zombies: list[int] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)


def main() -> None:
    """Run the jobs and print the table."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    adopt_orphans()
    with site() as urls, bench_server() as server, TemporaryDirectory(prefix="cogo-benchmark-") as folder:
        environment = {
            "BENCHMARK_BROWSER": "http" if options.http else "worker",
            "BENCHMARK_BROWSER_URLS": json.dumps(urls["small"]),
            "BENCHMARK_JOBS_PER_BROWSER": str(options.jobs_per_browser),
            "TMPDIR": folder,
        }
        worker = replace(COGO, name="worker", program="browser", settings={}, environment=environment)
        print(_run(server, worker, options.jobs))


def _run(server: BenchServer, worker: Peer, jobs: int) -> str:
    steps = [Step() for _ in range(STEPS)]
    reap_orphans()
    with server.clone(template(server, worker)) as dsn:
        enqueue(worker, dsn, jobs)
        with Program(worker, "worker", dsn, expected=jobs) as program:
            program.wait_until_ready()
            program.go()
            began_at = time.monotonic()
            while program.ran < jobs:
                program.check_alive()
                _sample(program.pid, steps[min(program.ran * STEPS // jobs, STEPS - 1)])
                program.wait_for_progress(SAMPLE_SECONDS)
                time.sleep(SAMPLE_SECONDS / 2)
            minutes = (time.monotonic() - began_at) / 60
            tree = descendants(program.pid)
    return "\n".join([*table(jobs, steps), trend(steps), _ending(tree, jobs, minutes)])


def _sample(pid: int, step: Step) -> None:
    below = descendants(pid)
    step.own.append(resident_bytes(pid) / MEBI)
    step.allocated.append(anonymous_bytes(pid) / MEBI)
    step.tree.append((tree_memory_bytes([pid]) or 0) / MEBI)
    step.processes.append(len(below))
    step.zombies.append(sum(map(is_zombie, below)))
    step.orphans.append(sum(map(is_zombie, children(os.getpid()))))


def table(jobs: int, steps: list[Step]) -> list[str]:
    """Return the lines of the table."""
    head = ("jobs", "worker, resident MiB", "anonymous", "with its processes, anonymous: median (max)", "processes")
    lines = [f"| {' | '.join(head)} | zombie descendants | orphans |", f"| --- |{' ---: |' * 6}"]
    for number, step in enumerate(steps):
        if step.own:
            tree = f"{statistics.median(step.tree):.0f} ({max(step.tree):.0f})"
            lines.append(
                f"| to {jobs * (number + 1) // STEPS:,} | {statistics.median(step.own):.1f} "
                f"| {statistics.median(step.allocated):.1f} | {tree} "
                f"| {statistics.median(step.processes):.0f} ({max(step.processes)}) "
                f"| {statistics.median(step.zombies):.0f} ({max(step.zombies)}) | {max(step.orphans)} |"
            )
    return lines


def trend(steps: list[Step]) -> str:
    """Return how the medians of the last tenth differ from those of the second; the first includes the start."""
    sampled = [step for step in steps if step.own]
    if len(sampled) < 3:
        return "Too few samples for a trend."
    second, last = sampled[1], sampled[-1]
    own = statistics.median(last.allocated) - statistics.median(second.allocated)
    tree = statistics.median(last.tree) - statistics.median(second.tree)
    return f"From the second to the last tenth: worker {own:+.1f} MiB allocated, with its processes {tree:+.0f} MiB."


def _ending(tree: set[int], jobs: int, minutes: float) -> str:
    """Return the rate, and the number of processes left after the program was killed."""
    deadline = time.monotonic() + END_TIMEOUT_SECONDS
    while (left := [pid for pid in tree if exists(pid) and not is_zombie(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return f"{jobs / minutes:,.0f} jobs/min; {len(left)} of its {len(tree)} processes outlived it."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--jobs-per-browser", type=int, default=200)
    parser.add_argument("--http", action="store_true", help="without a browser: the memory of queue, proxy and uploads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
