"""What the programs of all Python peers have in common: their modes, and how they talk with the harness.

`python -m benchmarks.peers.NAME MODE OPTIONS`, with the database's address in BENCHMARK_DSN and OPTIONS as JSON:

setup    install the schema into an empty database
bulk     enqueue `jobs` jobs in one call
single   enqueue `jobs` jobs, one call after another
pickup   enqueue `jobs` jobs, one every `pause_seconds`; the worker of the same run notes when each began
worker   say READY, wait for GO, run jobs until told to stop; a job sleeps `sleep_seconds`

A worker says RAN and how many jobs it has run, at most every 10 ms and at the `expected`-th job at once.
It ends when its standard input does, after STARTED and the nanoseconds at which each job began. The others print
RESULT and a JSON object. peers/program.mjs is the same for Node.
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

_SAYING: Final = threading.Lock()

Go = Callable[[], Awaitable[None]]
"""Says READY, and returns at GO."""

Handler = Callable[[int], Awaitable[None]]
"""What a job does, given its number."""


class Peer(ABC):
    """One queue, as its documentation says to use it."""

    @abstractmethod
    async def connect(self, dsn: str) -> None:
        """Open what enqueueing needs."""

    @abstractmethod
    async def setup(self) -> None:
        """Install the schema."""

    @abstractmethod
    async def enqueue(self, numbers: Sequence[int]) -> None:
        """Add many jobs the fast way."""

    @abstractmethod
    async def enqueue_one(self, number: int) -> None:
        """Add one job."""

    @abstractmethod
    async def work(self, handler: Handler, go: Go) -> None:
        """Connect, await `go`, run jobs for ever."""


class _Tally:
    """Counts the jobs that ran, and tells the harness."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._expected: int | None = options.get("expected")
        self._sleep_seconds: float = options.get("sleep_seconds", 0)
        self._count = 0
        self._started: dict[int, int] | None = {} if options.get("note_starts") else None

    async def handle(self, number: int) -> None:
        if self._started is not None:
            self._started.setdefault(number, time.monotonic_ns())
        if self._sleep_seconds:
            await asyncio.sleep(self._sleep_seconds)
        self._count += 1
        if self._count == self._expected:
            _say("RAN", self._count)

    def tick(self) -> None:
        said = 0
        while True:
            time.sleep(TICK_SECONDS)
            if (count := self._count) != said:
                _say("RAN", said := count)

    def end_with_the_harness(self) -> None:
        sys.stdin.read()
        if self._started is not None:
            _say("STARTED", json.dumps(self._started))
        os._exit(0)


def main(peer: Peer) -> None:
    """Run one mode, as the command line says."""
    mode, options = sys.argv[1], json.loads(sys.argv[2])
    asyncio.run(_run(peer, mode, options))


async def _run(peer: Peer, mode: str, options: dict[str, Any]) -> None:
    await peer.connect(os.environ["BENCHMARK_DSN"])
    if mode == "worker":
        await _work(peer, options)
    elif mode == "setup":
        await peer.setup()
        _say("RESULT", "{}")
    else:
        measure = {"bulk": _bulk, "single": _single, "pickup": _pickup}[mode]
        _say("RESULT", json.dumps(await measure(peer, options)))
    os._exit(0)  # pools and their threads need no farewell


async def _work(peer: Peer, options: dict[str, Any]) -> None:
    tally = _Tally(options)

    async def go() -> None:
        _say("READY")
        await asyncio.to_thread(sys.stdin.readline)
        for loop in (tally.tick, tally.end_with_the_harness):
            threading.Thread(target=loop, daemon=True).start()

    await peer.work(tally.handle, go)


async def _bulk(peer: Peer, options: dict[str, Any]) -> dict[str, Any]:
    numbers = range(options["jobs"])
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


def _say(*words: object) -> None:
    with _SAYING:  # two threads would write into each other's lines
        print(*words, flush=True)
