"""The common part of the Python peers: their modes, and the protocol with the harness.

`python -m benchmarks.peers.NAME MODE OPTIONS`, with the database URL in BENCHMARK_DSN and OPTIONS as JSON:

setup    install the schema into an empty database
bulk     enqueue `jobs` jobs in one call
single   enqueue `jobs` jobs, one call after another
pickup   enqueue `jobs` jobs, a job every `pause_seconds`; the worker of the same run records when each job starts
worker   print READY, wait for GO, run jobs until standard input is closed; a job sleeps `sleep_seconds`; with
         `in_turns`, a line with a number lets as many further jobs start, if the peer awaits `admitted`

A worker prints RAN with the number of jobs it has run, at most every 10 ms, and immediately at the `expected`-th job.
When its standard input is closed, it prints STARTED with the start of each job in nanoseconds, and exits. The other
modes print RESULT with a JSON object. peers/program.mjs is the same for Node.js.
"""

import asyncio
import json
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

TICK_SECONDS: Final = 0.01
WARM_UP_CALLS: Final = 20

_OUTPUT_LOCK: Final = threading.Lock()

Go = Callable[[], Awaitable[None]]
"""Prints READY, and returns at GO."""

Handler = Callable[[int], Awaitable[None]]
"""Runs a job, given its number."""


class Peer(ABC):
    """A queue, used as its documentation recommends."""

    admitted: asyncio.Semaphore | None = None
    """Acquired before each job, if the peer runs in turns."""

    @abstractmethod
    async def connect(self, dsn: str) -> None:
        """Open the connections for enqueueing."""

    @abstractmethod
    async def setup(self) -> None:
        """Install the schema."""

    @abstractmethod
    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue many jobs in the fastest way."""

    def prepare(self, numbers: Sequence[int]) -> None:
        """Prepare a bulk enqueue; not timed."""
        del numbers

    @abstractmethod
    async def enqueue_one(self, number: int) -> None:
        """Enqueue one job."""

    @abstractmethod
    async def work(self, handler: Handler, go: Go) -> None:
        """Connect, await `go`, and run jobs until the process ends."""


class _Counter:
    """Counts jobs and reports to the harness."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._expected: int | None = options.get("expected")
        self._sleep_seconds: float = options.get("sleep_seconds", 0)
        self._count = 0
        self.admitted = asyncio.Semaphore(0) if options.get("in_turns") else None
        self._loop = asyncio.get_running_loop()
        self._started: dict[int, int] | None = {} if options.get("note_starts") else None

    async def handle(self, number: int) -> None:
        if self._started is not None:
            self._started.setdefault(number, time.monotonic_ns())
        if self._sleep_seconds:
            await asyncio.sleep(self._sleep_seconds)
        self._count += 1
        if self._count == self._expected:
            _print_line("RAN", self._count)

    def tick(self) -> None:
        reported = 0
        while True:
            time.sleep(TICK_SECONDS)
            if (count := self._count) != reported:
                _print_line("RAN", reported := count)

    def exit_with_harness(self) -> None:
        for line in sys.stdin:
            self._loop.call_soon_threadsafe(self._admit, int(line))
        if self._started is not None:
            _print_line("STARTED", json.dumps(self._started))
        os._exit(0)

    def _admit(self, jobs: int) -> None:
        assert self.admitted is not None
        for _ in range(jobs):
            self.admitted.release()


def main(peer: Peer) -> None:
    """Run the mode given on the command line."""
    mode, options = sys.argv[1], json.loads(sys.argv[2])
    asyncio.run(_run(peer, mode, options))


async def _run(peer: Peer, mode: str, options: dict[str, Any]) -> None:
    await peer.connect(os.environ["BENCHMARK_DSN"])
    if mode == "worker":
        await _work(peer, options)
    elif mode == "setup":
        await peer.setup()
        _print_line("RESULT", "{}")
    else:
        measure = {"bulk": _bulk, "single": _single, "pickup": _pickup}[mode]
        _print_line("RESULT", json.dumps(await measure(peer, options)))
    os._exit(0)  # without closing pools and threads


async def _work(peer: Peer, options: dict[str, Any]) -> None:
    counter = _Counter(options)

    async def go() -> None:
        _print_line("READY")
        await asyncio.to_thread(sys.stdin.readline)
        for loop in (counter.tick, counter.exit_with_harness):
            threading.Thread(target=loop, daemon=True).start()

    peer.admitted = counter.admitted
    await peer.work(counter.handle, go)


async def _bulk(peer: Peer, options: dict[str, Any]) -> dict[str, Any]:
    numbers = range(options["jobs"])
    peer.prepare(numbers)
    started_at = time.perf_counter()
    await peer.enqueue(numbers)
    return {"seconds": time.perf_counter() - started_at}


async def _single(peer: Peer, options: dict[str, Any]) -> dict[str, Any]:
    for number in range(WARM_UP_CALLS):
        await peer.enqueue_one(number)
    started_at = time.perf_counter()
    for number in range(options["jobs"]):
        await peer.enqueue_one(number)
    return {"seconds": time.perf_counter() - started_at}


async def _pickup(peer: Peer, options: dict[str, Any]) -> dict[str, Any]:
    called, committed = [], []
    for number in range(options["jobs"]):
        await asyncio.sleep(options["pause_seconds"])
        called.append(time.monotonic_ns())
        await peer.enqueue_one(number)
        committed.append(time.monotonic_ns())
    return {"called": called, "committed": committed}


def _print_line(*parts: object) -> None:
    with _OUTPUT_LOCK:  # lines of two threads would be mixed
        print(*parts, flush=True)
