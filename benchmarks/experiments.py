"""The measurements, each of one peer. All of them return plain numbers."""

import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psycopg

from benchmarks.measure import Meter
from benchmarks.peers import SOURCES, Peer
from benchmarks.programs import Program, ProgramFailed
from benchmarks.server import BenchServer

Numbers = dict[str, Any]

TIMEOUT_SECONDS: Final = 240.0
POLL_SECONDS: Final = 0.002
PICKUP_JOBS: Final = 200
PICKUP_WARM_UP: Final = 5
PICKUP_PAUSE_SECONDS: Final = 0.03
BUSY_JOB_SECONDS: Final = 0.02
SINGLE_CALLS: Final = 1_000
LIMIT_BATCH: Final = 50
LIMIT_CLIENTS: Final = 10


def template(server: BenchServer, peer: Peer) -> str:
    """Return the name of the peer's template database, which has its schema and no rows."""
    return server.template(f"empty_{peer.program.partition('.')[0]}", lambda dsn: _once(peer, "setup", dsn))


def drain(server: BenchServer, peer: Peer, jobs: int, workers: int = 1) -> Numbers:
    """Time a bulk enqueue, then a drain with *workers* worker processes."""
    with server.clone(template(server, peer)) as dsn:
        return enqueue(peer, dsn, jobs) | drain_queued(server, peer, dsn, jobs, workers)


def bulk(server: BenchServer, peer: Peer, jobs: int) -> Numbers:
    """Time a bulk enqueue alone."""
    with server.clone(template(server, peer)) as dsn:
        return enqueue(peer, dsn, jobs)


def enqueue(peer: Peer, dsn: str, jobs: int) -> Numbers:
    """Time a bulk enqueue, and analyze the table, as autovacuum does in a queue that has run for a while."""
    seconds = _once(peer, "bulk", dsn, jobs=jobs)["seconds"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("analyze")
    return {"enqueued_per_second": jobs / seconds}


def drain_queued(server: BenchServer, peer: Peer, dsn: str, jobs: int, workers: int = 1) -> Numbers:
    """Time a drain from GO until all handlers have run and the database has no unfinished job."""
    with ExitStack() as stack:
        watcher = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        expected = jobs if workers == 1 else None
        programs = [stack.enter_context(Program(peer, "worker", dsn, expected=expected)) for _ in range(workers)]
        for program in programs:
            program.wait_until_ready()
        is_unfinished = _check_of(watcher, peer, jobs)
        meter = Meter(watcher, server.pid, [program.pid for program in programs])
        meter.start()
        started_at = time.perf_counter()
        for program in programs:
            program.go()
        _wait_until_done(programs, is_unfinished, peer, jobs)
        seconds = time.perf_counter() - started_at
        meter.stop()
        if watcher.execute(peer.unfinished).fetchone() != (False,):
            raise ProgramFailed(f"{peer.name} has unfinished jobs")
        ran = sum(program.ran for program in programs)
        for program in programs:
            program.end()
        return {"jobs_per_second": jobs / seconds, "duplicates": ran - jobs} | meter.cost(jobs).to_json()


def _check_of(watcher: "psycopg.Connection[Any]", peer: Peer, jobs: int) -> Callable[[], bool]:
    """Return the check whether a job of the coming drain is unfinished; it was called once."""
    query, arguments = peer.unfinished, None
    if peer.remaining is not None:
        row = watcher.execute("select clock_timestamp()").fetchone()
        query, arguments = peer.remaining, {"jobs": jobs, "since": row and row[0]}

    def is_unfinished() -> bool:
        return watcher.execute(query, arguments).fetchone() != (False,)

    is_unfinished()
    return is_unfinished


def _wait_until_done(programs: Sequence[Program], is_unfinished: Callable[[], bool], peer: Peer, jobs: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (ran := sum(program.ran for program in programs)) < jobs:
        _check_time(deadline, f"{peer.name} ran {ran} of {jobs} jobs")
        for program in programs:
            program.check_alive()
        programs[0].wait_for_progress(0.01 if len(programs) > 1 else 0.5)
    while is_unfinished():
        _check_time(deadline, f"{peer.name} ran all jobs, and some are not finished")
        time.sleep(POLL_SECONDS)


def single(server: BenchServer, peer: Peer, calls: int = SINGLE_CALLS) -> Numbers:
    """Time single enqueues, with an idle worker and with a busy worker."""
    calls = min(calls, peer.jobs or calls)
    numbers = {}
    with server.clone(template(server, peer)) as dsn, _working(peer, dsn):
        numbers["idle_per_second"] = calls / _once(peer, "single", dsn, jobs=calls)["seconds"]
    with server.clone(template(server, peer)) as dsn:
        # Enough to keep every slot of the worker busy until the end.
        enqueue(peer, dsn, 20_000 if peer.jobs is None else peer.jobs)
        with _working(peer, dsn, sleep_seconds=BUSY_JOB_SECONDS):
            numbers["busy_per_second"] = calls / _once(peer, "single", dsn, jobs=calls)["seconds"]
    return numbers


def pickup(server: BenchServer, peer: Peer) -> Numbers:
    """Time the start of jobs that are enqueued singly for an idle worker, from the commit and from the call."""
    with server.clone(template(server, peer)) as dsn:
        with _working(peer, dsn, note_starts=True) as worker:
            jobs = PICKUP_WARM_UP + PICKUP_JOBS
            times = _once(peer, "pickup", dsn, jobs=jobs, pause_seconds=PICKUP_PAUSE_SECONDS)
            time.sleep(1)
        if len(worker.started) != jobs:
            raise ProgramFailed(f"{peer.name} started {len(worker.started)} of {jobs} jobs")
        numbers: Numbers = {}
        for since in ("committed", "called"):
            waits = sorted((worker.started[n] - times[since][n]) / 1e6 for n in range(PICKUP_WARM_UP, jobs))
            hundredths = statistics.quantiles(waits, n=100)
            numbers |= {f"{since}_p{p}_ms": round(hundredths[p - 1], 3) for p in (50, 95, 99)}
        return numbers


def history(server: BenchServer, peer: Peer, fill: str, jobs: int, *, empty_first: bool) -> Numbers:
    """Compare draining an empty queue and a queue with a million finished rows, in either order."""
    templates = {"empty": template(server, peer)}
    templates["stored"] = server.template(f"full_{peer.program}", lambda dsn: _fill(dsn, fill), of=templates["empty"])
    drains = {}
    for which in ("empty", "stored") if empty_first else ("stored", "empty"):
        with server.clone(templates[which]) as dsn:
            drains[which] = enqueue(peer, dsn, jobs) | drain_queued(server, peer, dsn, jobs)
    empty, stored = drains["empty"], drains["stored"]
    cost = {name: stored[name] / empty[name] for name in ("server_cpu_us", "wal_bytes")}
    slowdown = empty["jobs_per_second"] / stored["jobs_per_second"]
    return {"empty": empty, "stored": stored, "empty_first": empty_first, "slowdown": slowdown} | cost


def held_snapshot(server: BenchServer, peer: Peer, jobs: int) -> Numbers:
    """Drain three times while an open transaction prevents vacuum from removing rows."""
    with server.clone(template(server, peer)) as dsn, psycopg.connect(dsn) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select txid_current()")
        drains = [enqueue(peer, dsn, jobs) | drain_queued(server, peer, dsn, jobs) for _ in range(3)]
    return {"drains": drains, "third_to_first": drains[2]["jobs_per_second"] / drains[0]["jobs_per_second"]}


def limit(server: BenchServer, jobs: int) -> Numbers:
    """Claim and complete 50 at a time with pgbench on a minimal table: the upper limit of such a design."""
    transactions = max(jobs // (LIMIT_BATCH * LIMIT_CLIENTS), 1)
    jobs = transactions * LIMIT_BATCH * LIMIT_CLIENTS
    sketch = server.template("limit", lambda dsn: _fill(dsn, (SOURCES / "limit.sql").read_text()))
    with server.clone(sketch) as dsn, psycopg.connect(dsn, autocommit=True) as watcher:
        watcher.execute(
            "insert into job (type, payload) select 'noop', jsonb_build_object('n', n) from generate_series(1, %s) n",
            [jobs],
        )
        watcher.execute("analyze")
        meter = Meter(watcher, server.pid, [])
        command = [server.binaries / "pgbench", "-n", "-M", "prepared", "-c", LIMIT_CLIENTS, "-j", 2]
        command += ["-t", transactions, "-f", SOURCES / "limit.pgbench", dsn]
        meter.start()
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        meter.stop()
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        left = watcher.execute("select count(*) from job where status <> 'succeeded'").fetchone()
        if rate is None or left != (0,):
            raise ProgramFailed(f"pgbench left {left} of {jobs} jobs: {done.stderr[-1000:]}")
        cost = meter.cost(jobs).to_json()
        del cost["client_cpu_us"]  # pgbench's CPU time is not measured
        return {"jobs_per_second": float(rate[1]) * LIMIT_BATCH, "duplicates": 0} | cost


def _once(peer: Peer, mode: str, dsn: str, **options: Any) -> Numbers:
    with Program(peer, mode, dsn, **options) as program:
        return program.finish(TIMEOUT_SECONDS)


@contextmanager
def _working(peer: Peer, dsn: str, **options: Any) -> Iterator[Program]:
    """Run a worker; wait one second until it is idle or busy."""
    with Program(peer, "worker", dsn, **options) as program:
        program.wait_until_ready()
        program.go()
        time.sleep(1)
        yield program
        program.check_alive()


def _fill(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script)
        connection.execute("vacuum (analyze)")


def _check_time(deadline: float, message: str) -> None:
    if time.monotonic() > deadline:
        raise ProgramFailed(f"{message} within {TIMEOUT_SECONDS:g} s")
