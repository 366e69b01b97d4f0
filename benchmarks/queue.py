"""Compares the queue with its peers: `uv run --group bench python -m benchmarks.queue --rounds 5`.

Everything runs on one server started for the benchmark. The peers alternate within each round, so that other load on
the machine affects all of them. The costs per job are the most reliable numbers, then the ratios within a round, then
jobs per second.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from benchmarks import experiments, over_rest, report
from benchmarks.peers import COGO, COGO_FILE, GRAPHILE, PEERS, Peer, PeerMissing
from benchmarks.programs import ProgramFailed
from benchmarks.server import BenchServer, bench_server

FINISHED_JOBS: Final = """
insert into public.jobs (type, payload, status, attempts, worker_id, instance_id, lease_token, claimed_at, started_at,
                         finished_at, run_seconds, created_at, next_run_at)
select 'noop', jsonb_build_object('n', n), 'succeeded', 1, 'history', gen_random_uuid(), gen_random_uuid(), past, past,
       past, 0.001, past, past
from generate_series(1, 1000000) n cross join lateral (select now() - n * interval '1 second' as past) as moment
"""

LIMIT: Final = "limit (pgbench)"
EXPERIMENTS: Final = ("drain", "file", "long", "drain2", "single", "pickup", "history", "snapshot", "rest")
SELDOM: Final = ("single", "history")
"""Measured in the first two rounds only: no target depends on them."""
LONG_JOBS: Final = 100_000


def main() -> None:
    """Run the rounds, print the tables, and write the results."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # so that the server is stopped too
    missing: dict[str, str] = {}
    versions: dict[str, dict[str, str]] = {}
    for peer in PEERS:
        try:
            versions[peer.name] = peer.versions()
        except PeerMissing as reason:
            missing[peer.name] = str(reason)
    peers = [p for p in PEERS if p.name not in missing and (not options.peers or p.name in options.peers)]
    rounds: list[dict[str, dict[str, Any]]] = []
    with bench_server() as server:
        about = report.machine() | {"server": server.settings(), "missing": missing, "versions": versions}
        about |= {"peers": {peer.name: dict(peer.settings) for peer in peers}, "jobs": options.jobs}
        for number in range(options.rounds):
            print(f"Round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
            rounds.append(_round(server, peers, options.jobs, options.only, number))
    about |= {"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), "rounds": rounds}
    print(report.markdown(about))
    if not options.dry:
        print(f"\nWritten to {report.write(about)}.")


def _round(
    server: BenchServer, peers: list[Peer], jobs: int, only: list[str], number: int
) -> dict[str, dict[str, Any]]:
    """Measure everything once; every other round reverses the order of the peers."""
    if number >= 2:
        only = [name for name in only if name not in SELDOM]
    result: dict[str, dict[str, Any]] = {name: {} for name in only}
    result["load"] = {"before": os.getloadavg()[0]}
    peers = peers if number % 2 == 0 else peers[::-1]
    _try(result, "drain", LIMIT, only, partial(experiments.limit, server, jobs))
    for peer in peers:
        own = min(jobs, peer.jobs or jobs)
        _try(result, "drain", peer.name, only, partial(experiments.drain, server, peer, own))
    for peer in (p for p in peers if p.in_all):
        own = min(jobs, peer.jobs or jobs)
        _try(result, "drain2", peer.name, only, partial(experiments.drain, server, peer, own, workers=2))
        _try(result, "single", peer.name, only, partial(experiments.single, server, peer))
        _try(result, "pickup", peer.name, only, partial(experiments.pickup, server, peer))
        if peer.jobs is None:
            _try(result, "snapshot", peer.name, only, partial(experiments.held_snapshot, server, peer, jobs))
    for peer in (p for p in peers if p.name in (COGO.name, GRAPHILE)):
        _try(result, "long", peer.name, only, partial(experiments.drain, server, peer, LONG_JOBS))
    if COGO in peers:
        _try(result, "file", COGO_FILE.name, only, partial(experiments.bulk, server, COGO_FILE, jobs))
        _try(result, "rest", COGO.name, only, partial(over_rest.measure, server))
        _try(
            result,
            "history",
            COGO.name,
            only,
            partial(experiments.history, server, COGO, FINISHED_JOBS, jobs, empty_first=number % 2 == 0),
        )
    return result


def _try(
    result: dict[str, dict[str, Any]], what: str, peer: str, only: list[str], measure: Callable[[], dict[str, Any]]
) -> None:
    """Run one measurement; a failure is recorded as its result."""
    if what not in only:
        return
    began_at = time.monotonic()
    try:
        result[what][peer] = measure()
    except (ProgramFailed, subprocess.TimeoutExpired) as failure:
        result[what][peer] = {"failed": str(failure)}
    summary = report.line(result[what][peer])
    print(f"  {what:9} {peer:16} {time.monotonic() - began_at:5.1f} s  {summary}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs per drain (default 20000; 2000 for slow peers)")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--peers", nargs="+", choices=[peer.name for peer in PEERS], help="measure only these")
    parser.add_argument("--dry", action="store_true", help="do not write the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
