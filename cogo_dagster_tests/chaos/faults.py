"""All kinds of faults, with their begin and end."""

import signal
from collections import Counter
from collections.abc import Mapping
from typing import Final

import psycopg

from cogo_dagster_tests.chaos.clocks import SPECIFICATIONS
from cogo_dagster_tests.chaos.dagster_side import DagsterSide
from cogo_dagster_tests.chaos.database_faults import DatabaseFaults
from cogo_dagster_tests.chaos.lasting import ENDED, Fault, Lasting, NotPossible
from cogo_dagster_tests.chaos.operators import Operators
from cogo_dagster_tests.chaos.plan import LOSABLE, REST_FAULTS, Step
from cogo_dagster_tests.chaos.store_faults import disk_full, store_away
from cogo_dagster_tests.chaos.workers import LEASE_SECONDS, Slot
from cogo_dagster_tests.chaos.world import World

_SIGNALS: Final = {
    "kill": (signal.SIGKILL, True),
    "SIGTERM to the process": (signal.SIGTERM, False),
    "SIGTERM to the group": (signal.SIGTERM, True),
    "SIGINT to the group": (signal.SIGINT, True),
}


class Faults:
    """Injects faults.

    Attributes:
        done: Number of faults by kind.
        missed: Number of faults by kind that were not possible, since there was no process to kill.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._database = DatabaseFaults(world)
        self._operators = Operators(world, self.done, self.missed)
        self._kinds: Mapping[str, Fault] = {
            **dict.fromkeys(_SIGNALS, self._signal),
            "SIGTERM twice": self._signal_twice,
            "freeze past the lease": self._freeze,
            "freeze briefly": self._freeze,
            **dict.fromkeys(SPECIFICATIONS, self._clock),
            "reset connections": self._cut,
            "no network": self._cut,
            "half-open connections": self._silence,
            "latency": self._latency,
            "lose a reply": self._lose_reply,
            **dict.fromkeys(REST_FAULTS, self._to_project),
            "store unreachable": lambda step: store_away(world, step),
            "disk full": lambda step: disk_full(world, step),
            **(_of_dagster(world.dagster) if world.dagster is not None else {}),
            **self._database.kinds(),
        }

    def begin(self, step: Step) -> Lasting | None:
        """Begin a fault; return the call that ends it, and after how many seconds, if it lasts."""
        if self._operators.begin(step):
            return None
        try:
            lasting = self._kinds[step.kind](step)
        except (NotPossible, psycopg.OperationalError):  # the server may be recovering from an earlier fault
            self.missed[step.kind] += 1
            return None
        self.done[step.kind] += 1
        return None if lasting is ENDED else lasting

    def restore(self) -> None:
        """End all faults that do not end by themselves."""
        self._operators.close()
        self._world.trouble.restore()
        self._world.proxy.restore()
        self._database.restore()
        for slot in self._world.workers.slots:
            slot.clock.correct()

    def _slot(self, step: Step) -> Slot:
        there = [slot for slot in self._world.workers.slots if slot.process is not None]
        if not there:
            raise NotPossible
        return there[step.target % len(there)]

    def _signal(self, step: Step) -> Lasting:
        number, group = _SIGNALS[step.kind]
        return _happened(self._world.workers.signal(self._slot(step), number, group=group))

    def _signal_twice(self, step: Step) -> Lasting:
        workers, slot = self._world.workers, self._slot(step)
        workers.signal(slot, signal.SIGTERM)
        return step.hold_seconds / 4, lambda: workers.signal(slot, signal.SIGTERM)

    def _freeze(self, step: Step) -> Lasting:
        workers, slot = self._world.workers, self._slot(step)
        workers.freeze(slot)
        past_seconds = LEASE_SECONDS + 2 if step.kind == "freeze past the lease" else 0
        return past_seconds + step.hold_seconds, lambda: workers.thaw(slot)

    def _clock(self, step: Step) -> Lasting:
        clock, specifications = self._slot(step).clock, SPECIFICATIONS[step.kind]
        clock.say(specifications[step.target % len(specifications)])
        return step.hold_seconds * 4, clock.correct

    def _cut(self, step: Step) -> Lasting:
        trouble = self._world.trouble
        trouble.cut()
        return (0.05 if step.kind == "reset connections" else step.hold_seconds), trouble.restore

    def _silence(self, step: Step) -> Lasting:
        proxy = self._world.proxy
        proxy.silence(new_too=step.target % 3 == 0)
        return step.hold_seconds, proxy.restore

    def _latency(self, step: Step) -> Lasting:
        proxy = self._world.proxy
        proxy.latency_seconds = 0.02 + step.target % 10 / 50
        return step.hold_seconds, proxy.restore

    def _lose_reply(self, step: Step) -> Lasting:
        self._world.trouble.lose_reply_to(LOSABLE[step.target % len(LOSABLE)])
        return ENDED

    def _to_project(self, step: Step) -> Lasting:
        assert self._world.stand_in is not None
        order = self._world.stand_in.faults.order
        word = f"/rpc/{LOSABLE[step.target % len(LOSABLE)]}"
        match step.kind:
            case "delay requests":
                order("delay", "/rpc/", seconds=step.hold_seconds, times=20)
            case "response 503":
                order("answer", word, times=8)
            case "response 429":
                order("answer", word, status=429, body=b"{}", content_type="application/json", times=8)
            case "response HTML":
                order("answer", word, status=200, times=2)
            case _:
                order("cut_short", word, times=2)
        return ENDED


def _happened(did: bool) -> Lasting:
    if not did:
        raise NotPossible
    return ENDED


def _of_dagster(side: DagsterSide) -> Mapping[str, Fault]:
    return {
        "kill a Dagster run": lambda _: _happened(side.kill_run()),
        "terminate a Dagster run": lambda _: _happened(side.terminate_run()),
        "kill Dagster's daemon": lambda _: _happened(side.kill_daemon(machine=False)),
        "kill Dagster's machine": lambda _: _happened(side.kill_daemon(machine=True)),
    }
