"""Throughput of two hosts compared with one: `uv run python -m benchmarks.hosts` (Linux, as root).

The hosts are network namespaces; PostgreSQL and Redis are on a third one. Jobs wait, so that the processors of this
machine, which all hosts share, are not the limit. One and two hosts alternate in each round, with plain workers and
with runs of Dagster by Celery. The benchmark fails if two hosts do less than 1.8 times the work of one.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cogo_dagster.queue.migrate import migrate
from cogo_dagster_tests.hosts.celery import CelerySite, celery_site
from cogo_dagster_tests.hosts.executor import SLOTS
from cogo_dagster_tests.hosts.world import World, world
from cogo_dagster_tests.servers import shared_cluster

MIN_RATIO: Final = 1.8
WAITS: Final = (0.1, 0.5)
"""How long the jobs wait, in seconds."""
SECONDS: Final = 5.0
"""How long two hosts need at least."""

_FIRST_SHARE: Final = 0.1
_LAST_SHARE: Final = 0.9


def main() -> int:
    """Measure, print the medians of the ratios, and return 1 if one is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("workers", "celery"), nargs="+", default=["workers", "celery"])
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="cogo-hosts-") as folder, shared_cluster(Path(folder), migrate) as cluster:
        path = Path(folder)
        path.chmod(0o755)
        if "workers" in options.only:
            with world(path, cluster, COGO_LEASE_SECONDS="60", COGO_CONCURRENCY=str(SLOTS)) as three:
                _measure(three, "workers", _with_workers(three), options.rounds, ratios)
        if "celery" in options.only:
            settings = {"COGO_LEASE_SECONDS": "60", "COGO_CONCURRENCY": str(SLOTS), "COGO_MAX_WORKERS": "100"}
            with world(path / "celery", cluster, **settings) as three, celery_site(three, daemon=False) as site:
                site.start_celery(three.b)
                site.start_celery(three.c)
                _measure(three, "celery", _with_runs(site), options.rounds, ratios)
    medians = {name: statistics.median(found) for name, found in ratios.items()}
    for name, found in ratios.items():
        print(f"{name}: {medians[name]:.2f} ({min(found):.2f}-{max(found):.2f})")
    return int(min(medians.values()) < MIN_RATIO)


def _measure(
    three: World,
    name: str,
    start: Callable[[int], Callable[[], None]],
    rounds: int,
    ratios: dict[str, list[float]],
) -> None:
    """Measure one and two hosts in each round; every other round begins with two."""
    for number in range(rounds):
        rates: dict[tuple[float, int], float] = {}
        for count in ((1, 2), (2, 1))[number % 2]:
            stop = start(count)
            for wait in WAITS:
                rates[wait, count] = _rate(three, wait, count)
            stop()
        for wait in WAITS:
            one, two = rates[wait, 1], rates[wait, 2]
            ratios.setdefault(f"{name}, jobs of {wait * 1000:.0f} ms", []).append(two / one)
            print(f"  {name:8} {wait:4} s: {one:6.1f} and {two:6.1f} jobs/s, {two / one:.2f}", flush=True)


def _rate(three: World, wait: float, count: int) -> float:
    """Return the jobs per second between the tenth and the ninetieth percent of the jobs."""
    ids = three.enqueue(int(SECONDS * SLOTS * count / wait), seconds=wait)
    three.until(lambda: _left(three) == 0, "the jobs have succeeded", 300)
    ended = sorted(job["finished_at"] for job in three.jobs(ids))
    first, last = int(len(ended) * _FIRST_SHARE), int(len(ended) * _LAST_SHARE)
    return (last - first) / float((ended[last] - ended[first]).total_seconds())


def _left(three: World) -> int:
    time.sleep(0.2)
    return three.count("select count(*) as n from public.jobs where status in ('queued', 'running')")


def _with_workers(three: World) -> Callable[[int], Callable[[], None]]:
    def start(count: int) -> Callable[[], None]:
        for host in (three.b, three.c)[:count]:
            three.start_worker(host)

        def stop() -> None:
            for host in (three.b, three.c)[:count]:
                host.stop()

        return stop

    return start


def _with_runs(site: CelerySite) -> Callable[[int], Callable[[], None]]:
    def start(count: int) -> Callable[[], None]:
        runs = [site.launch(linger_seconds=30) for _ in range(count)]
        site.world.until(lambda: site.working() == count, "the runs have workers", 120)

        def stop() -> None:
            for run_id in runs:
                site.terminate(run_id)
            site.world.until(lambda: site.working() == 0, "the runs have ended", 120)

        return stop

    return start


if __name__ == "__main__":
    sys.exit(main())
