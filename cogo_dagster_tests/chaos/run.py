"""One run: planned faults, then a drain without faults, and the checks."""

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
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.folders import sweep_folders
from cogo_dagster.queue.workspace import PREFIX
from cogo_dagster_tests.chaos.checker import violations
from cogo_dagster_tests.chaos.faults import Faults
from cogo_dagster_tests.chaos.lasting import Undo
from cogo_dagster_tests.chaos.plan import Way, kinds, plan, round_length
from cogo_dagster_tests.chaos.producer import Producer
from cogo_dagster_tests.chaos.world import World, world
from cogo_dagster_tests.processes import command_line

_TICK_SECONDS: Final = 0.05
_RESCHEDULE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Order:
    """The parameters of a run.

    Attributes:
        seconds: How long faults are injected; the drain follows.
        drain_seconds: Time limit of the drain, after which all jobs have ended and all workers send heartbeats.
        backlog: How many quick jobs are kept queued.
        small_disk: Whether artifacts are stored on a small disk that can be filled.
        daemon: Whether Dagster's daemon launches runs too.
        dagster_runs: Whether runs of Dagster execute jobs besides the workers.
    """

    way: Way
    seed: int
    seconds: float
    workers: int = 3
    drain_seconds: float = 900
    backlog: int = 3_000
    small_disk: bool = False
    daemon: bool = False
    dagster_runs: bool = True


@dataclass
class Report:
    """The results of a run.

    Attributes:
        missed: Number of faults by kind that were not possible.
        fastest: Maximum number of attempts within ten seconds.
        by_dagster: Attempts counted by runs of Dagster up to their last heartbeat.
    """

    order: Order
    faults: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    lost_replies: int = 0
    odd_endings: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    ended_themselves: list[str] = field(default_factory=list)
    attempts: int = 0
    fastest: int = 0
    by_dagster: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    phases: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def elapsed_seconds(self) -> float:
        """Total duration."""
        return sum(self.phases.values())


def run(
    dsn: str,
    folder: Path,
    order: Order,
    *,
    server: EmbeddedServer | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run once on a migrated, empty database.

    Args:
        dsn: The database as its owner; its settings are changed and restored.
        folder: An empty folder.
        server: The database's server, which is restarted sometimes if given.
        say: Called with progress messages.
    """
    report, began_at = Report(order), time.monotonic()

    def ended(phase: str) -> None:
        nonlocal began_at
        report.phases[phase], began_at = time.monotonic() - began_at, time.monotonic()
        say(f"{phase}: {report.phases[phase]:.1f} s")

    with world(
        dsn,
        folder,
        order.way,
        order.workers,
        small_disk=order.small_disk,
        server=server,
        daemon=order.daemon,
        dagster_runs=order.dagster_runs,
    ) as here:
        faults, producer = Faults(here), Producer(here, order.seed, order.backlog)
        ended("start")
        _inject_faults(here, faults, producer, order)
        ended("faults")
        found = _drain(here, order)
        ended("drain")
        if here.dagster is not None:
            here.dagster.end()
            found += here.dagster.finish()
            report.runs = Counter(here.dagster.counts())
        found += _sweep_all(here)
        ended("tidying")
        report.faults, report.missed, report.exits = faults.done, faults.missed, here.workers.exits
        report.ended_themselves = here.workers.ended_themselves
        report.lost_replies = here.trouble.lost_replies
        _count(here, report)
        found += here.workers.violations
        found += violations(here.owner, here.store, here.effects, producer.enqueued)
        report.odd_endings = _number(here, "select count(*) from chaos.effects where kind = 'odd'")
        report.violations = found + _kinds_left_out(here, report)
        ended("checks")
    return report


def _inject_faults(here: World, faults: Faults, producer: Producer, order: Order) -> None:
    steps = list(plan(order.seed, order.seconds, order.way, server=here.server is not None, dagster=order.daemon))
    undone: list[tuple[float, int, Undo]] = []
    turn, begins_at = itertools.count(), time.monotonic()
    producer.start()
    try:
        while (now := time.monotonic() - begins_at) < order.seconds or undone:
            here.workers.look()
            if here.dagster is not None:
                here.dagster.look()
            while undone and undone[0][0] <= now:
                heapq.heappop(undone)[2]()
            while steps and steps[0].at_seconds <= now:
                lasting = faults.begin(steps.pop(0))
                if lasting is not None:
                    heapq.heappush(undone, (now + lasting[0], next(turn), lasting[1]))
            time.sleep(_TICK_SECONDS)
    finally:
        producer.stop()
    faults.restore()


def _drain(here: World, order: Order) -> list[str]:
    """Let the workers finish every job, and check that all of them still work."""
    [[began]] = here.owner.execute("select clock_timestamp()")
    deadline, silent, left = time.monotonic() + order.drain_seconds, set[int](), 1
    rescheduled_at = 0.0
    here.workers.no_more_runs = True
    while time.monotonic() < deadline:
        here.workers.look()
        if time.monotonic() >= rescheduled_at:
            rescheduled_at = time.monotonic() + _RESCHEDULE_SECONDS
            _make_due(here)
        left = _number(here, "select count(*) from public.jobs where status in ('queued', 'running')")
        beating = here.owner.execute("select pid from public.workers where last_heartbeat_at > %s", (began,))
        silent = set(here.workers.alive_pids()) - {int(str(pid)) for (pid,) in beating}
        if not left and not silent:
            break
        time.sleep(0.2)
    logs = {slot.process.pid: slot.log for slot in here.workers.slots if slot.process}
    here.workers.end()
    found = [f"The worker {pid} has sent no heartbeat since the faults ended: {logs.get(pid)}." for pid in silent]
    return [*found, f"{left} jobs have not ended after {order.drain_seconds:g} s."] if left else found


def _make_due(here: World) -> None:
    here.owner.execute("update public.jobs set next_run_at = now() where status = 'queued' and next_run_at > now()")


def _sweep_all(here: World) -> list[str]:
    """Sweep as workers do after their grace periods, and return what remains."""
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
    return [*found, *(f"The process {pid} still runs: {command_line(pid)}" for pid in left)]


def _kinds_left_out(here: World, report: Report) -> list[str]:
    """Return the planned faults that never occurred, which is an error of the run."""
    order = report.order
    chosen = {"server": here.server is not None, "dagster": order.daemon}
    planned = plan(order.seed, order.seconds, order.way, **chosen)
    if len(planned) < round_length(order.way, **chosen):
        return []
    left_out = [kind for kind in kinds(order.way, **chosen) if not report.faults[kind]]
    left_out += [] if report.lost_replies else ["a lost reply"]
    left_out += [] if report.odd_endings else ["an odd ending"]
    return [f"The fault never occurred, so this run does not test it: {kind}." for kind in left_out]


def _count(here: World, report: Report) -> None:
    report.attempts = _number(here, "select count(*) from chaos.audit where status = 'running'")
    report.fastest = _number(
        here,
        "select coalesce(max(count), 0) from (select count(*) from chaos.audit where status = 'running'"
        " group by date_bin('10 seconds', at, 'epoch')) s",
    )
    report.by_dagster = _number(
        here,
        "select coalesce(sum((m.counters ->> 'claimed')::bigint), 0) from public.worker_metrics m"
        " join public.workers w using (instance_id) where w.dagster_run_id is not null",
    )
    rows = here.owner.execute(
        "select coalesce(status, 'deleted'), count(*) from chaos.audit where old_status = 'running' group by 1"
    )
    report.endings = Counter({str(status): int(str(count)) for status, count in rows})


def _number(here: World, statement: str) -> int:
    return int(str(here.owner.execute(statement)[0][0]))


def scratch() -> Path:
    """Return a new folder for a run, in memory if possible."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="cogo-chaos-", dir=memory if os.access(memory, os.W_OK) else None))
