"""Browser jobs compared with a hand-written loop: `uv run --group bench python -m benchmarks.browser`.

First jobs per minute, alternating within each round; then the memory of one worker with its browser over many jobs,
sampled every second, and the processes that outlive the worker.
"""

import argparse
import ctypes
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.experiments import Numbers, drain, enqueue, template
from benchmarks.measure import resident_bytes
from benchmarks.peers import COGO, Peer
from benchmarks.programs import Program
from benchmarks.server import BenchServer, bench_server
from cogo_dagster.executors.browser.memory import tree_memory_bytes

MEBI: Final = 1024**2
SAMPLE_SECONDS: Final = 1.0
STEPS: Final = 10
PR_SET_CHILD_SUBREAPER: Final = 36
END_TIMEOUT_SECONDS: Final = 10.0

STYLE: Final = "body{font:16px sans-serif}section{margin:8px;padding:8px;border:1px solid #999}"
SCRIPT: Final = (
    "for (let i = 0; i < 200; i++) { const s = document.createElement('section');"
    "s.textContent = 'Section ' + i + ' of a page that a script has made.'; document.body.append(s); }"
)
PAGE: Final = (
    "<!doctype html><title>Measured</title><link rel=stylesheet href=/style.css>"
    "<h1>Measured</h1><img src=/picture.svg><script src=/script.js></script>"
)
PAGES: Final = {
    "/": ("text/html", PAGE),
    "/style.css": ("text/css", STYLE),
    "/script.js": ("text/javascript", SCRIPT),
    "/picture.svg": (
        "image/svg+xml",
        "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='200'><circle cx='150' cy='100' r='80'/></svg>",
    ),
}


def main() -> None:
    """Run the rounds and the long run; print both tables."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    # Orphans of the worker's browser become children of this process instead of init, so that they can be counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with _site() as url, bench_server() as server, TemporaryDirectory(prefix="cogo-benchmark-") as folder:
        sides = _sides(url, folder)
        rounds: list[dict[str, Numbers]] = []
        for number in range(options.rounds):
            order = sides if number % 2 == 0 else sides[::-1]
            print(f"Round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
            rounds.append({side.name: drain(server, side, options.round_jobs) for side in order})
        if rounds:
            print(_speed(rounds, [side.name for side in sides]), flush=True)
        for side in sides[: (3 if options.loops_too else 1) if options.jobs else 0]:
            print(_long_run(server, side, options.jobs), flush=True)


def _sides(url: str, folder: str) -> list[Peer]:
    """Return the programs. They are killed, so their files are written to a folder that is removed afterwards."""
    worker = replace(COGO, name="worker", program="browser", settings={})
    kinds = {"worker": "worker", "loop": "loop", "loop with a trace": "traced"}
    return [
        replace(
            worker,
            name=name,
            unfinished=COGO.unfinished if kind == "worker" else "select false",
            environment={"BENCHMARK_BROWSER": kind, "BENCHMARK_BROWSER_URL": url, "TMPDIR": folder},
        )
        for name, kind in kinds.items()
    ]


def _speed(rounds: list[dict[str, Numbers]], names: list[str]) -> str:
    lines = ["| jobs/min, median (min-max) | | of the loop, same round |", "| --- | ---: | ---: |"]
    for name in names:
        rates = sorted(numbers[name]["jobs_per_second"] * 60 for numbers in rounds)
        ratios = sorted(numbers[name]["jobs_per_second"] / numbers["loop"]["jobs_per_second"] for numbers in rounds)
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f}) "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) |"
        )
    return "\n".join(lines)


@dataclass(slots=True)
class _Step:
    """The samples of one tenth of the jobs."""

    own: list[float] = field(default_factory=list)
    tree: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    zombies: list[int] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)


def _long_run(server: BenchServer, side: Peer, jobs: int) -> str:
    """Run many jobs; return the memory of the process and its descendants by tenths of the jobs."""
    steps = [_Step() for _ in range(STEPS)]
    _reap_orphans()
    with server.clone(template(server, side)) as dsn:
        enqueue(side, dsn, jobs)
        with Program(side, "worker", dsn, expected=jobs) as program:
            program.wait_until_ready()
            program.go()
            began_at = time.monotonic()
            while program.ran < jobs:
                program.check_alive()
                _sample(program.pid, steps[min(program.ran * STEPS // jobs, STEPS - 1)])
                program.wait_for_progress(SAMPLE_SECONDS)
                time.sleep(SAMPLE_SECONDS / 2)
            minutes = (time.monotonic() - began_at) / 60
            tree = _descendants(program.pid)
    return "\n".join([*_steps_table(side.name, jobs, steps), _ending(tree, jobs, minutes)])


def _sample(pid: int, step: _Step) -> None:
    below = _descendants(pid)
    step.own.append(resident_bytes(pid) / MEBI)
    step.tree.append((tree_memory_bytes([pid]) or 0) / MEBI)
    step.processes.append(len(below))
    step.zombies.append(sum(map(_is_zombie, below)))
    step.orphans.append(sum(map(_is_zombie, _children(os.getpid()))))


def _steps_table(name: str, jobs: int, steps: list[_Step]) -> list[str]:
    head = (f"{name}: jobs", "resident MiB", "anonymous MiB of the process tree: median (max)", "processes")
    lines = [f"| {' | '.join(head)} | zombie descendants | orphans |", f"| --- |{' ---: |' * 5}"]
    for number, step in enumerate(steps):
        if step.own:
            tree = f"{statistics.median(step.tree):.0f} ({max(step.tree):.0f})"
            lines.append(
                f"| to {jobs * (number + 1) // STEPS:,} | {statistics.median(step.own):.1f} | {tree} "
                f"| {statistics.median(step.processes):.0f} ({max(step.processes)}) "
                f"| {statistics.median(step.zombies):.0f} ({max(step.zombies)}) | {max(step.orphans)} |"
            )
    return lines


def _ending(tree: set[int], jobs: int, minutes: float) -> str:
    """Return the rate, and the number of processes left after the program was killed."""
    deadline = time.monotonic() + END_TIMEOUT_SECONDS
    while (left := [pid for pid in tree if _exists(pid) and not _is_zombie(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return f"{jobs / minutes:,.0f} jobs/min; {len(left)} of its {len(tree)} processes outlived it."


def _reap_orphans() -> None:
    """Reap orphans that have ended, as init does."""
    for pid in filter(_is_zombie, _children(os.getpid())):
        os.waitpid(pid, os.WNOHANG)


def _descendants(pid: int) -> set[int]:
    """Return all descendants of a process."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        found.update(children)
        waiting.extend(children)
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # the process has ended
        return []


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@contextmanager
def _site() -> Iterator[str]:
    """Serve the page and its resources; yield its URL."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    site.daemon_threads = True
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/"
    finally:
        site.shutdown()
        site.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond with a page."""
        kind, text = PAGES.get(self.path, ("text/plain", ""))
        body = text.encode()
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-jobs", type=int, default=150, help="jobs per program and round")
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs in the long run; 0 skips it")
    parser.add_argument("--loops-too", action="store_true", help="run the long run for the loops too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
