"""Dagster in a run: its instance with storage on the same server, runs of its jobs, and its daemon."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final, Protocol
from unittest import mock
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import dagster as dg
import psycopg
from dagster._daemon.monitoring import run_monitoring
from sqlalchemy.exc import DBAPIError

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.dagster_support.storage_database import databases
from cogo_dagster.dagster_support.zombies import end_zombies
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster.supervision.zombies import Watch

BEGUN: Final = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
MARK: Final = "COGO_CHAOS_DAGSTER"

_RUN_SECONDS: Final = 25
_MAX_RUNS: Final = 2
_END_SECONDS: Final = 20
_STORAGE_SECONDS: Final = 30
_LOOKS_AT_SECONDS: Final = range(0, 190, 10)
"""When the sensor ticks after all processes ended: longer than a worker's limit after its deregistration."""
_LATER: Final = (
    "update public.runs set start_time = start_time - 86400, update_timestamp = update_timestamp - interval '1 day'"
)
"""Longer than the limits for a registration and for a Dagster job."""
_DAY_SECONDS: Final = 86_400


class Executes(Protocol):
    """A connection with all privileges."""

    def execute(self, statement: str, arguments: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Execute a statement."""
        ...


@dataclass
class DagsterSide:
    """Dagster's part of a run.

    Attributes:
        instance: The Dagster instance of the UI.
        environment: The environment of Dagster's processes.
    """

    owner: Executes
    instance: dg.DagsterInstance
    environment: Mapping[str, str]
    plain: Mapping[str, str]
    folder: Path
    with_daemon: bool
    daemon: "subprocess.Popen[bytes] | None" = None
    turn: int = 0

    def command(self) -> list[str]:
        """Return the command of the next run: mostly `process_jobs`, sometimes an operators' job."""
        self.turn += 1
        job = "process_jobs"
        config: dict[str, object] = {"ops": {"claim_jobs": {"config": {"run_seconds": float(_RUN_SECONDS)}}}}
        if self.turn % 4 == 0:
            job, config = self._operators_job()
        file = self.folder / f"run-{self.turn}.yaml"
        file.write_text(json.dumps(config))
        words = ["job", "execute", "-m", "cogo_dagster.definitions", "-j", job, "-c", str(file)]
        return [sys.executable, "-m", "dagster", *words]

    def look(self) -> None:
        """Start the daemon, or restart it if it has ended."""
        if not self.with_daemon or (self.daemon is not None and self.daemon.poll() is None):
            return
        log = (self.folder / "daemon.log").open("ab")
        with log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
                cwd=PROJECT_ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_daemon(self, *, machine: bool) -> bool:
        """Kill the daemon, or with `machine` also its code server and its runs; return whether it was running."""
        if self.daemon is None or self.daemon.poll() is not None:
            return False
        with suppress(ProcessLookupError):
            (os.killpg if machine else os.kill)(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait()
        return True

    def kill_run(self) -> bool:
        """Kill the process of a run, preferably one that the daemon launched; return whether there was one."""
        pids = self.owner.execute(
            "select pid from public.workers where dagster_run_id is not null and stopped_at is null"
            " order by last_heartbeat_at desc limit 4"
        )
        living = set(self.pids())
        found = [pid for (pid,) in pids if isinstance(pid, int) and pid in living]
        for pid in sorted(found, key=_is_child, reverse=True)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def terminate_run(self) -> bool:
        """Terminate a run as the UI does; return whether there was one."""
        for run in self._runs([dg.DagsterRunStatus.STARTED]):
            with suppress(Exception):  # its code server may be gone, its storage unreachable
                if self.instance.run_launcher.terminate(run.run_id):
                    return True
        return False

    def pids(self) -> list[int]:
        """Return the IDs of the living Dagster processes of this run (Linux)."""
        mark, found = f"{MARK}={self.environment[MARK]}\0".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                alive = (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and mark in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def end(self) -> None:
        """Terminate runs as the UI does, wait for their end, and then kill the remaining processes."""
        self._until(lambda: not self.terminate_run(), 10)
        self._until(lambda: not any(map(_is_child, self.pids())), _END_SECONDS)
        self.end_now()

    def end_now(self) -> None:
        """Kill all processes."""
        self.kill_daemon(machine=True)
        self._until(self._kill_all, 10)

    def finish(self) -> list[str]:
        """Run the sensor on the remaining runs, whose processes are gone; return the runs that do not end."""
        self._runs(BEGUN)
        settings = {**self.plain, "COGO_HOME": self.environment["COGO_HOME"]}
        with CogoResource(settings=settings).yield_for_execution(None) as cogo:  # type: ignore[arg-type]
            watch, now = Watch(), time.time()
            self.owner.execute("update public.workers set last_heartbeat_at = last_heartbeat_at - interval '1 minute'")
            with psycopg.connect(self.environment["DAGSTER_POSTGRES_URL"], autocommit=True) as storage:
                storage.execute(_LATER)
            for second in _LOOKS_AT_SECONDS:
                watch, _ = end_zombies(self.instance, cogo, watch, now + second)
        monitored = SimpleNamespace(instance=self.instance, create_request_context=lambda: None)
        tomorrow = SimpleNamespace(time=lambda: time.time() + _DAY_SECONDS)
        with mock.patch.object(run_monitoring, "time", tomorrow):
            looks = run_monitoring.execute_run_monitoring_iteration(monitored, logging.getLogger("chaos"))  # type: ignore[arg-type]
            list(looks)
        left = self._runs(BEGUN)
        return [f"The Dagster run {run.run_id} of {run.job_name} stays {run.status.value}." for run in left]

    def counts(self) -> dict[str, int]:
        """Return the number of runs by status."""
        counts: dict[str, int] = {}
        for run in self.instance.get_runs():
            name = f"{run.job_name} {run.status.value}"
            counts[name] = counts.get(name, 0) + 1
        return counts

    def _runs(self, statuses: Sequence[dg.DagsterRunStatus]) -> Sequence[dg.DagsterRun]:
        """Return the runs with these statuses, once the storage responds."""
        deadline = time.monotonic() + _STORAGE_SECONDS
        while True:
            try:
                return self.instance.get_runs(dg.RunsFilter(statuses=list(statuses)))
            except DBAPIError:  # the server was restarted under the storage's connection pool
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _kill_all(self) -> bool:
        pids = self.pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            time.sleep(0.2)

    def _operators_job(self) -> tuple[str, dict[str, object]]:
        if self.turn % 8 == 0:
            return "recover_leases", {}
        rows = self.owner.execute(
            "select job_id from public.jobs_dlq"
            " where closed_at is null and replayed_at is null and not superseded limit 50"
        )
        config = {"job_ids": [str(row[0]) for row in rows] or None, "skip_unfit": bool(rows)}
        return "replay_dlq", {"ops": {"replay_dead_letters": {"config": config}}}


@contextmanager
def dagster_side(
    owner: Executes, dsn: str, folder: Path, given: Mapping[str, str], plain: Mapping[str, str], *, daemon: bool
) -> Iterator[DagsterSide]:
    """Create a database for Dagster's storage and open its instance; both are removed afterwards.

    Args:
        dsn: The queue's database, as its owner.
        given: The environment of worker processes.
        plain: The variables for a direct connection to the queue, past all faults.
        daemon: Whether to start Dagster's daemon.
    """
    name = f"chaos_dagster_{uuid4().hex[:8]}"
    owner.execute(f"create database {name}")
    url = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    environment = {
        **given,
        "DAGSTER_POSTGRES_URL": url,
        "DAGSTER_HOME": str(PROJECT_ROOT),
        "COGO_MAX_WORKERS": str(_MAX_RUNS),
        MARK: name,
    }
    with ExitStack() as stack:
        stack.callback(owner.execute, f"drop database if exists {name} with (force)")
        stack.callback(databases.forget)
        seen = {key: environment[key] for key in ("DAGSTER_POSTGRES_URL", "DAGSTER_HOME", "COGO_HOME")}
        stack.enter_context(mock.patch.dict(os.environ, seen))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # Dagster's beta warnings
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(PROJECT_ROOT)))
        side = DagsterSide(owner, instance, environment, plain, folder, daemon)
        stack.callback(side.end_now)
        yield side


def _is_child(pid: int) -> bool:
    """Whether a process was launched by a code server, which starts its runs with multiprocessing."""
    with suppress(OSError):
        return b"multiprocessing" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
