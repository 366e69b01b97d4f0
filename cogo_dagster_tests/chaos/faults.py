"""Every kind of fault: how it begins, and what ends it."""

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid4

import psycopg

from cogo_dagster.queue.artifacts import ArtifactStoreError, sweep_artifacts
from cogo_dagster.queue.errors import QueueError
from cogo_dagster_tests.chaos.plan import LOSABLE, REST_FAULTS, Step
from cogo_dagster_tests.chaos.workers import LEASE_SECONDS, Slot
from cogo_dagster_tests.chaos.world import World

Undo = Callable[[], object]
Lasting = tuple[float, Undo]
"""After how many seconds which call ends a fault; 0 for one that has ended already."""

_OTHERS: Final = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'chaos'"
)
_SETTINGS: Final = {
    "idle session timeout": ("idle_session_timeout", "300ms"),
    "statement timeout": ("statement_timeout", "15ms"),
    "read-only": ("default_transaction_read_only", "on"),
}
_POISON_PAYLOADS: Final = (
    '{"do": 1e5000}',
    '{"do": -1e-5000, "more": [1e400]}',
    '{"a": ' + "[" * 1_200 + "]" * 1_200 + "}",
    '{"a": ' + '{"b":' * 900 + "1" + "}" * 900 + "}",
)
_ACTION: Final = "chaos"


class Faults:
    """Lets faults happen.

    Attributes:
        done: How many of which kind.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.done: Counter[str] = Counter()
        self._operations: dict[str, Callable[[Step], object]] = {
            "retry": lambda _: self._operate("retry_failed", dry_run=False),
            "replay": lambda _: self._operate("replay_dlq", type_prefix="chaos"),
            "purge": lambda _: self._operate("purge_jobs", older_than_days=0, dry_run=False, batch_size=50),
            "cancel": self._cancel,
            "cleanup": lambda _: self._operate("cleanup_artifacts", older_than_days=0, batch_size=20),
            "sweep": lambda _: sweep_artifacts(world.queue, world.store, grace_seconds=30, max_seconds=1),
            "recover": lambda _: self._operate("recover_leases"),
            "dry runs": lambda _: self._dry_runs(),
        }

    def begin(self, step: Step) -> Lasting | None:
        """Let a fault happen; return after how many seconds which call ends it, where it lasts."""
        self.done[step.kind] += 1
        slot = self._world.workers.slots[step.target % len(self._world.workers.slots)]
        if step.kind in _SETTINGS:
            return step.hold_seconds, self._set(*_SETTINGS[step.kind])
        if step.kind in self._operations:
            with suppress(QueueError, ArtifactStoreError):
                self._operations[step.kind](step)
            return None
        if (undo := self._to_process(step, slot)) or (undo := self._to_store(step)) or (undo := self._to_link(step)):
            return undo if undo[0] else None
        return self._to_rows(step)

    def mend(self) -> None:
        """End what has no end of its own."""
        self._world.trouble.mend()
        self._resume()
        self._set_all_back()

    def _to_process(self, step: Step, slot: Slot) -> Lasting | None:
        workers = self._world.workers
        match step.kind:
            case "kill":
                workers.signal(slot, signal.SIGKILL, group=True)
            case "freeze past the lease" | "freeze briefly":
                workers.freeze(slot)
                past = LEASE_SECONDS + 2 if step.kind == "freeze past the lease" else 0
                return past + step.hold_seconds, lambda: workers.thaw(slot)
            case "SIGTERM to the process":
                workers.signal(slot, signal.SIGTERM)
            case "SIGTERM to the group":
                workers.signal(slot, signal.SIGTERM, group=True)
            case "SIGINT to the group":
                workers.signal(slot, signal.SIGINT, group=True)
            case "SIGTERM twice":
                workers.signal(slot, signal.SIGTERM)
                return step.hold_seconds / 4, lambda: workers.signal(slot, signal.SIGTERM)
            case _:
                return None
        return 0, _nothing

    def _to_link(self, step: Step) -> Lasting | None:
        trouble, proxy = self._world.trouble, self._world.proxy
        match step.kind:
            case "reset connections":
                trouble.cut()
                return 0.05, trouble.mend
            case "network away":
                trouble.cut()
                return step.hold_seconds, trouble.mend
            case "half-open connections":
                assert proxy is not None
                proxy.silence(new_too=step.target % 3 == 0)
                return step.hold_seconds, proxy.mend
            case "lose a reply":
                trouble.lose_reply_to(LOSABLE[step.target % len(LOSABLE)])
                return 0, _nothing
            case _:
                return self._to_project(step)

    def _to_project(self, step: Step) -> Lasting | None:
        if self._world.stand_in is None or step.kind not in REST_FAULTS:
            return None
        order = self._world.stand_in.faults.order
        word = f"/rpc/{LOSABLE[step.target % len(LOSABLE)]}"
        match step.kind:
            case "delay requests":
                order("delay", "/rpc/", seconds=step.hold_seconds, times=20)
            case "answer 503":
                order("answer", word, times=8)
            case "answer 429":
                order("answer", word, status=429, body=b"{}", content_type="application/json", times=8)
            case "answer HTML":
                order("answer", word, status=200, times=2)
            case "cut an answer short":
                order("cut_short", word, times=2)
        return 0, _nothing

    def _to_store(self, step: Step) -> Lasting | None:
        if step.kind not in ("store away", "disk full"):
            return None
        world = self._world
        if world.stand_in is not None:
            status = 507 if step.kind == "disk full" else 503
            world.stand_in.faults.order("answer", "/storage/", status=status, times=10)
            return 0, _nothing
        if step.kind == "disk full" and world.full_disk:
            filler = world.artifacts / "filler"
            with suppress(OSError), filler.open("wb") as written:
                while True:
                    written.write(bytes(65_536))

            def empty() -> None:
                world.remount("rw")
                filler.unlink(missing_ok=True)

            return step.hold_seconds * 2, empty
        if world.full_disk:
            world.remount("ro")
            return step.hold_seconds * 2, lambda: world.remount("rw")
        aside = world.artifacts.with_name("artifacts.away")
        if aside.exists() or not world.artifacts.is_dir():
            return 0, _nothing
        world.artifacts.rename(aside)
        world.artifacts.touch()

        def back() -> None:
            world.artifacts.unlink()
            aside.rename(world.artifacts)

        return step.hold_seconds * 2, back

    def _to_rows(self, step: Step) -> Lasting | None:
        world = self._world
        match step.kind:
            case "terminate backends":
                world.owner.execute(_OTHERS.encode())
            case "lock the jobs":
                locker = psycopg.connect(world.dsn, application_name="chaos")
                locker.execute("lock table public.jobs in exclusive mode")
                return min(step.hold_seconds, 2), locker.close
            case "pause":
                with suppress(QueueError):
                    world.queue.pause("type", "chaos", actor=_ACTION)
                return step.hold_seconds, self._resume
            case "poison row":
                payload = _POISON_PAYLOADS[step.target % len(_POISON_PAYLOADS)]
                world.owner.execute(
                    "insert into public.jobs (id, type, payload, max_attempts, next_run_at)"
                    " values (%s, 'chaos', %s, 3, case when %s then '-infinity'::timestamptz else now() end)",
                    (uuid4(), payload, step.target % 2 == 0),
                )
            case _:
                raise AssertionError(step.kind)
        return None

    def _set(self, name: str, value: str) -> Undo:
        database = self._world.owner.info.dbname
        self._world.owner.execute(f"alter database {database} set {name} = '{value}'".encode())
        self._world.owner.execute(_OTHERS.encode())

        def back() -> None:
            self._world.owner.execute(f"alter database {database} reset {name}".encode())
            self._world.owner.execute(_OTHERS.encode())

        return back

    def _set_all_back(self) -> None:
        self._world.owner.execute(f"alter database {self._world.owner.info.dbname} reset all".encode())
        self._world.owner.execute(_OTHERS.encode())

    def _resume(self) -> None:
        with suppress(QueueError):
            self._world.queue.resume("type", "chaos", actor=_ACTION)

    def _operate(self, function: str, **arguments: object) -> None:
        action = {"id": str(uuid4()), "batch": 0, "actor": _ACTION}
        self._world.queue.operate(function, {**arguments, "action": action})

    def _cancel(self, step: Step) -> None:
        row = self._world.owner.execute(
            "select id from public.jobs where status in ('queued', 'running')"
            " order by status desc, id limit 1 offset %s",
            (step.target % 5,),
        ).fetchone()
        if row:
            self._world.queue.cancel(UUID(str(row[0])), actor=_ACTION)

    def _dry_runs(self) -> None:
        for function in ("retry_failed", "replay_dlq", "purge_jobs", "cleanup_artifacts", "recover_leases"):
            self._world.queue.operate(function, {"dry_run": True})


def _nothing() -> None:
    """It has ended already."""
