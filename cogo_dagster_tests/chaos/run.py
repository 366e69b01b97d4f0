"""One run: faults by plan, then peace, a drain, and the checks."""

import heapq
import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStoreError, sweep_artifacts, sweep_unknown_objects
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.folders import sweep_folders
from cogo_dagster.queue.workspace import PREFIX
from cogo_dagster_tests.chaos.checker import violations
from cogo_dagster_tests.chaos.faults import Faults, Undo
from cogo_dagster_tests.chaos.plan import Way, plan
from cogo_dagster_tests.chaos.producer import Producer
from cogo_dagster_tests.chaos.world import World, world
from cogo_dagster_tests.processes import command_line

_TICK_SECONDS: Final = 0.05
_TOP_UP_SECONDS: Final = 0.5
_HURRY_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        seconds: How long faults happen; the drain comes after.
        drain_seconds: How long the workers may take to end all jobs and to beat again, in peace.
    """

    way: Way
    seed: int
    seconds: float
    workers: int = 3
    drain_seconds: float = 180
    small_disk: bool = False


@dataclass
class Report:
    """What a run was and what it found."""

    order: Order
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    ended_themselves: list[str] = field(default_factory=list)
    attempts: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    elapsed_seconds: float = 0.0
    violations: list[str] = field(default_factory=list)


def run(dsn: str, folder: Path, order: Order, *, say: Callable[[str], None] = lambda _: None) -> Report:
    """Run one order on a migrated, empty database.

    Args:
        dsn: With all rights; settings of this database are changed and reset.
        folder: An empty folder.
        say: Told what goes on.
    """
    began_at = time.monotonic()
    with world(dsn, folder, order.way, order.workers, small_disk=order.small_disk) as here:
        faults, producer = Faults(here), Producer(here, order.seed)
        _storm(here, faults, producer, order)
        say("The faults have ended; the jobs are drained.")
        found = _drain(here, order)
        found += _tidy(here)
        found += here.workers.troubles + violations(here, producer.enqueued)
        workers = here.workers
        report = Report(order, faults.done, workers.exits, workers.ended_themselves, violations=found)
        _count(here, report)
    report.elapsed_seconds = time.monotonic() - began_at
    return report


def _storm(here: World, faults: Faults, producer: Producer, order: Order) -> None:
    begins_at, top_up_at = time.monotonic(), 0.0
    steps = list(plan(order.seed, order.seconds, order.way))
    undone: list[tuple[float, int, Undo]] = []
    turn = itertools.count()
    while (now := time.monotonic() - begins_at) < order.seconds or undone:
        here.workers.look()
        if now >= top_up_at and now < order.seconds:
            producer.top_up()
            top_up_at = now + _TOP_UP_SECONDS
        while undone and undone[0][0] <= now:
            heapq.heappop(undone)[2]()
        while steps and steps[0].at_seconds <= now:
            lasting = faults.begin(steps.pop(0))
            if lasting is not None:
                heapq.heappush(undone, (now + lasting[0], next(turn), lasting[1]))
        time.sleep(_TICK_SECONDS)
    faults.mend()


def _drain(here: World, order: Order) -> list[str]:
    """Let the workers end every job, and see that all of them still work."""
    began = here.owner.execute("select clock_timestamp()").fetchone()
    assert began is not None
    deadline, silent, left = time.monotonic() + order.drain_seconds, set[int](), 1
    hurried_at = 0.0
    while time.monotonic() < deadline:
        here.workers.look()
        if time.monotonic() >= hurried_at:
            hurried_at = time.monotonic() + _HURRY_SECONDS
            _hurry(here)
        left = _number(here, "select count(*) from public.jobs where status in ('queued', 'running')")
        beating = {
            row[0]
            for row in here.owner.execute(
                "select pid from public.workers where last_heartbeat_at > %s", began
            ).fetchall()
        }
        silent = set(here.workers.alive_pids()) - beating
        if not left and not silent:
            break
        time.sleep(0.2)
    logs = {slot.process.pid: slot.log for slot in here.workers.slots if slot.process}
    here.workers.end()
    found = [f"The worker {pid} has not beaten since the faults ended: {logs.get(pid)}." for pid in silent]
    return [*found, f"{left} jobs have not ended after {order.drain_seconds:g} s."] if left else found


def _hurry(here: World) -> None:
    here.owner.execute("update public.jobs set next_run_at = now() where status = 'queued' and next_run_at > now()")


def _tidy(here: World) -> list[str]:
    """Sweep as workers do after their grace periods, and see what is left."""
    found = []
    here.owner.execute("update public.artifacts set created_at = created_at - interval '1 day'")
    with suppress(QueueError):
        here.queue.recover()
    try:
        sweep_artifacts(here.queue, here.store, grace_seconds=0)
        sweep_unknown_objects(here.queue, here.store, grace_seconds=-3_600)
    except (ArtifactStoreError, QueueError) as error:
        found.append(f"The sweep failed: {error}")
    sweep_folders(PREFIX, here.folder / "tmp")
    found += [f"The folder {path} is left." for path in (here.folder / "tmp").glob(f"{PREFIX}*")]
    deadline = time.monotonic() + 10
    while (left := here.workers.left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [*found, *(f"The process {pid} is left: {command_line(pid)}" for pid in left)]


def _count(here: World, report: Report) -> None:
    report.attempts = _number(here, "select count(*) from chaos.audit where status = 'running'")
    rows = here.owner.execute(
        "select coalesce(status, 'deleted'), count(*) from chaos.audit where old_status = 'running' group by 1"
    ).fetchall()
    report.endings = Counter(dict(rows))


def _number(here: World, statement: str) -> int:
    row = here.owner.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def scratch() -> Path:
    """Return a new folder for a run, in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="cogo-chaos-", dir=memory if os.access(memory, os.W_OK) else None))
