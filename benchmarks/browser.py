"""Browser jobs compared with a hand-written loop: `uv run --group bench python -m benchmarks.browser`.

Rates and CPU time per job of the worker, of the loop, and of the loop behind a forward proxy that checks nothing, on
several kinds of pages. CPU time is that of all processes of a side; the site's is not included.
In a round all sides are started, and then run a few jobs in turns, while the others wait. The speed of a shared machine
changes within seconds, so that turns must be short; and one start of a browser is slower than another, so that there
must be many rounds. The order is reversed after each turn. A job of the worker ends with its settlement. Prints the
targets and all sides, and writes the numbers to the folder `results`; takes about twenty minutes on two idle cores.
`benchmarks.browser_memory` has the memory of one worker over many jobs.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import report, targets
from benchmarks.browser_site import site
from benchmarks.experiments import enqueue, template
from benchmarks.peers import COGO, Peer
from benchmarks.processes import adopt_orphans, cpu_seconds_by_role, reap_orphans
from benchmarks.programs import Program
from benchmarks.server import BenchServer, bench_server
from benchmarks.targets import Target

BARE: Final = "loop behind a bare proxy"
KINDS: Final = ("small", "docs", "many")
SIDES: Final = {
    "worker": {"BENCHMARK_BROWSER": "worker"},
    "loop": {"BENCHMARK_BROWSER": "loop", "BENCHMARK_BROWSER_PICTURE": "fast"},
    BARE: {"BENCHMARK_BROWSER": "bare", "BENCHMARK_BROWSER_PICTURE": "fast"},
    "loop with Playwright's screenshot": {"BENCHMARK_BROWSER": "loop"},
    "loop with a trace": {"BENCHMARK_BROWSER": "traced"},
}
DEFAULT_SIDES: Final = tuple(SIDES)[:3]
WARM_UP_JOBS: Final = 8
END_SECONDS: Final = 0.1
"""How long after a turn its CPU time is read, so that it includes what follows the last jobs, such as removed files."""
BOUND: Final = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """One side in one round.

    Attributes:
        roles: The parts of `cpu_ms` by what the processes do.
    """

    jobs_per_minute: float
    cpu_ms: float
    roles: dict[str, float] = field(default_factory=dict)


Rounds = dict[str, list[dict[str, Measured]]]
"""The measurements of each round by side, by kind of page."""


def main() -> None:
    """Run the rounds and print the tables."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    adopt_orphans()
    rounds: Rounds = defaultdict(list)
    with site() as urls, bench_server() as server, TemporaryDirectory(prefix="cogo-benchmark-") as folder:
        for number in range(options.rounds):
            for kind in options.pages:
                sides = [_side(name, urls[kind], folder) for name in options.sides]
                order = sides if number % 2 == 0 else sides[::-1]
                measured = _measure(server, order, options.turns, options.jobs)
                rounds[kind].append(measured)
                _print_round(number + 1, kind, measured)
    print("\n".join(["", *target_table(rounds), "", table(rounds, options.sides)]))
    if not options.dry:
        numbers = {kind: [_to_json(one) for one in of_kind] for kind, of_kind in rounds.items()}
        about = report.machine() | {"browser": numbers, "load": os.getloadavg()[0]}
        about |= {"turns": options.turns, "jobs": options.jobs}
        print(f"\nWritten to {report.write(about)}.")


def _to_json(measured: dict[str, Measured]) -> dict[str, dict[str, Any]]:
    return {name: asdict(one) for name, one in measured.items()}


def target_table(rounds: Rounds) -> list[str]:
    """Return the lines of the table of targets: the rate of the worker, and its CPU time, for each kind of page."""
    by_number = [
        {kind: of_kind[number] for kind, of_kind in rounds.items() if number < len(of_kind)}
        for number in range(max(map(len, rounds.values()), default=0))
    ]
    wanted = [
        target
        for kind in rounds
        for target in (
            Target(f"{kind}: jobs/min ÷ loop", BOUND, partial(_rate_ratio, kind)),
            Target(f"{kind}: CPU per job, bare proxy ÷ worker", BOUND, partial(_cpu_ratio, kind)),
        )
    ]
    return report.table(targets.HEAD, targets.rows(by_number, wanted)).splitlines()


def _rate_ratio(kind: str, found: targets.Round) -> float:
    return float(found[kind]["worker"].jobs_per_minute / found[kind]["loop"].jobs_per_minute)


def _cpu_ratio(kind: str, found: targets.Round) -> float:
    return float(found[kind][BARE].cpu_ms / found[kind]["worker"].cpu_ms)


def _side(name: str, urls: Sequence[str], folder: str) -> Peer:
    """Return a program. It is killed, so its files are written to a folder that is removed afterwards."""
    environment = {**SIDES[name], "BENCHMARK_BROWSER_URLS": json.dumps(urls), "TMPDIR": folder}
    return replace(COGO, name=name, program="browser", settings={}, environment=environment)


class _Running:
    """A running side, which waits except during its turns."""

    def __init__(self, side: Peer, dsn: str, stack: ExitStack) -> None:
        self._program = stack.enter_context(Program(side, "worker", dsn, in_turns=True))
        self._jobs, self._seconds = 0, 0.0
        self._cpu: Counter[str] = Counter()

    def warm_up(self) -> None:
        """Wait for the start, and run the first jobs, in which a browser fills its caches."""
        self._program.wait_until_ready()
        self._program.go()
        self._run(WARM_UP_JOBS)

    def run_turn(self, jobs: int) -> None:
        """Run a turn of *jobs* jobs; what the program does while it waits for its next turn is not measured."""
        before, began_at = cpu_seconds_by_role(self._program.pid), time.monotonic()
        self._run(jobs)
        self._seconds += time.monotonic() - began_at
        time.sleep(END_SECONDS)
        self._cpu.update(cpu_seconds_by_role(self._program.pid))
        self._cpu.subtract(before)
        self._jobs += jobs

    def _run(self, jobs: int) -> None:
        expected = self._program.ran + jobs
        self._program.admit(jobs)
        while self._program.ran < expected:
            self._program.check_alive()
            self._program.wait_for_progress(0.5)

    def measured(self) -> Measured:
        """Return the rate and the CPU time of all turns."""
        roles = {role: seconds / self._jobs * 1_000 for role, seconds in self._cpu.items()}
        return Measured(self._jobs / self._seconds * 60, sum(roles.values()), roles)


def _measure(server: BenchServer, sides: Sequence[Peer], turns: int, jobs: int) -> dict[str, Measured]:
    """Run all sides in turns."""
    reap_orphans()
    with ExitStack() as stack:
        running = {}
        for side in sides:
            dsn = stack.enter_context(server.clone(template(server, side)))
            if side.environment["BENCHMARK_BROWSER"] == "worker":
                enqueue(side, dsn, WARM_UP_JOBS + turns * jobs)
            running[side.name] = _Running(side, dsn, stack)
        for one in running.values():
            one.warm_up()
        for turn in range(turns):
            for one in list(running.values())[:: 1 if turn % 2 == 0 else -1]:
                one.run_turn(jobs)
        return {name: one.measured() for name, one in running.items()}


def _print_round(number: int, kind: str, measured: dict[str, Measured]) -> None:
    shown = ", ".join(f"{name} {one.jobs_per_minute:.0f}/min {one.cpu_ms:.0f} ms" for name, one in measured.items())
    print(f"Round {number}, {kind}, load {os.getloadavg()[0]:.1f}: {shown}", flush=True)
    for name, one in measured.items():
        print(f"    {name}: " + ", ".join(f"{role} {ms:.0f}" for role, ms in sorted(one.roles.items())), flush=True)


def table(rounds: Rounds, sides: Sequence[str]) -> str:
    """Return the rates, and the ratios to the loop and to the loop behind a bare proxy within the same round."""
    head = ("page", "side", "jobs/min", "CPU ms per job", "rate, of the loop", "CPU, bare proxy ÷ side")
    lines = [f"| {' | '.join(head)} |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for kind, of_kind in rounds.items():
        for name in sides:
            rates = [one[name].jobs_per_minute / one["loop"].jobs_per_minute for one in of_kind if "loop" in one]
            costs = [one[BARE].cpu_ms / one[name].cpu_ms for one in of_kind if BARE in one]
            cells = (
                _median([one[name].jobs_per_minute for one in of_kind], "{:,.0f}"),
                _median([one[name].cpu_ms for one in of_kind], "{:,.0f}"),
                _median(rates, "{:.2f}"),
                _median(costs, "{:.2f}"),
            )
            lines.append(f"| {kind} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _median(values: Sequence[float], form: str) -> str:
    """Return the median with minimum and maximum."""
    if not values:
        return "-"
    shown = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]}-{shown[2]})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--turns", type=int, default=2, help="turns of a side in a round")
    parser.add_argument("--jobs", type=int, default=16, help="jobs per turn")
    parser.add_argument("--pages", nargs="+", choices=(*KINDS, "quiet", "noisy"), default=KINDS)
    parser.add_argument("--sides", nargs="+", choices=tuple(SIDES), default=DEFAULT_SIDES)
    parser.add_argument("--dry", action="store_true", help="do not write the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
