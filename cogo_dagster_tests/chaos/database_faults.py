"""Faults of the database and its server, and invalid rows."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg

from cogo_dagster_tests.chaos.lasting import ENDED, Fault, Lasting, NotPossible
from cogo_dagster_tests.chaos.plan import Step
from cogo_dagster_tests.chaos.world import World

_OTHERS: Final = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'chaos'"
)
_BACKENDS: Final = (
    "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    " and application_name <> 'chaos' and backend_type = 'client backend' order by pid"
)
_SETTINGS: Final = {
    "idle session timeout": ("idle_session_timeout", "300ms"),
    "statement timeout": ("statement_timeout", "15ms"),
    "read-only": ("default_transaction_read_only", "on"),
}
_STOPS: Final = {
    "restart the server (fast)": signal.SIGINT,
    "restart the server (immediate)": signal.SIGQUIT,
    "kill -9 of the postmaster": signal.SIGKILL,
}
_POISON_PAYLOADS: Final = (
    '{"do": 1e5000}',
    '{"do": -1e-5000, "more": [1e400]}',
    '{"a": ' + "[" * 1_200 + "]" * 1_200 + "}",
    '{"a": ' + '{"b":' * 900 + "1" + "}" * 900 + "}",
)
_POISON_ROW: Final = (
    "insert into public.jobs (id, type, payload, max_attempts, next_run_at) values"
    " (%s, 'chaos', %s, 3, case when %s then '-infinity'::timestamptz else now() end) on conflict do nothing"
)


class DatabaseFaults:
    """Injects faults into the database."""

    def __init__(self, world: World) -> None:
        self._world = world

    def kinds(self) -> Mapping[str, Fault]:
        """Return the function for each kind of fault."""
        return {
            **dict.fromkeys(_SETTINGS, self._set),
            **dict.fromkeys(_STOPS, self._restart),
            "kill -9 of a server process": self._kill_backend,
            "terminate backends": self._terminate_backends,
            "lock the jobs": self._lock,
            "poison row": self._poison,
        }

    def restore(self) -> None:
        """Restore all settings."""
        self._world.owner.execute(f"alter database {self._world.owner.database} reset all")
        self._terminate_backends()

    def _terminate_backends(self, _: Step | None = None) -> Lasting:
        self._world.owner.execute(_OTHERS)
        return ENDED

    def _set(self, step: Step) -> Lasting:
        owner, (name, value) = self._world.owner, _SETTINGS[step.kind]
        owner.execute(f"alter database {owner.database} set {name} = '{value}'")
        self._terminate_backends()

        def back() -> None:
            owner.execute(f"alter database {owner.database} reset {name}")
            self._terminate_backends()

        return step.hold_seconds, back

    def _lock(self, step: Step) -> Lasting:
        # The server ends it, since the thread that should may be waiting for the lock.
        held_ms = int(min(step.hold_seconds, 2) * 1_000)
        options = f"-c idle_in_transaction_session_timeout={held_ms} -c lock_timeout=5s -c statement_timeout=0"
        locker = psycopg.connect(self._world.dsn, application_name="chaos", options=options, connect_timeout=10)
        try:
            locker.execute("lock table public.jobs in exclusive mode")
        except psycopg.OperationalError:
            locker.close()
            raise NotPossible from None
        return held_ms / 1_000, locker.close

    def _poison(self, step: Step) -> Lasting:
        payload = _POISON_PAYLOADS[step.target % len(_POISON_PAYLOADS)]
        self._world.owner.execute(_POISON_ROW, (uuid4(), payload, step.target % 2 == 0))
        return ENDED

    def _restart(self, step: Step) -> Lasting:
        server = self._world.server
        assert server is not None
        if (pid := server.status().pid) is None:
            raise NotPossible
        with suppress(ProcessLookupError):
            os.kill(pid, _STOPS[step.kind])
        while _lives(pid):
            time.sleep(0.01)
        server.start()
        return ENDED

    def _kill_backend(self, step: Step) -> Lasting:
        pids = [row[0] for row in self._world.owner.execute(_BACKENDS)]
        if not pids:
            raise NotPossible
        with suppress(ProcessLookupError):
            os.kill(int(str(pids[step.target % len(pids)])), signal.SIGKILL)
        return ENDED


def _lives(pid: int) -> bool:
    # An ended process may still be a zombie.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
