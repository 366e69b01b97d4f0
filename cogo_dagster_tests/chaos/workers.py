"""The worker processes of a run: started, signalled, restarted when they end, and inspected afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.chaos.clocks import PATCH, Clock
from cogo_dagster_tests.chaos.dagster_side import DagsterSide
from cogo_dagster_tests.chaos.effects import VARIABLE
from cogo_dagster_tests.processes import started_with

LEASE_SECONDS: Final = 5
GRACE_SECONDS: Final = 3
KILLED_BY_JOB: Final = 77
CONCURRENCY: Final = 100
"""High, so that many quick jobs are recorded and settled at once."""

_PROGRAM: Final = Path(sys.executable).with_name("cogo")
_STOP_SECONDS: Final = GRACE_SECONDS + 10 + 30
"""A worker ends ten seconds after its grace period; the rest is for a loaded machine."""
_ACCEPTED: Final = frozenset(
    {
        ExitCode.OK,
        ExitCode.INTERRUPTED,
        ExitCode.DATABASE,
        ExitCode.STUCK,
        KILLED_BY_JOB,
        -signal.SIGKILL,
        -signal.SIGTERM,
        -signal.SIGINT,
    }
)
"""Includes signals: SIGTERM and SIGINT before the handlers are installed."""
_RUN_PAUSE_SECONDS: Final = 10.0
"""A run of Dagster takes as long to start as thousands of jobs take to run."""
_TRACEBACK: Final = "Traceback (most recent call last)"
_OF_A_JOB: Final = re.compile(r"\S+ (claimed|executed|settled|uploaded|lease_lost) ")
_LOG_LINES: Final = 40
"""How much of the log of a stuck worker is reported."""


@dataclass
class Slot:
    """The place of one worker; when its process ends, another one is started.

    Attributes:
        is_run: Whether it is a run of Dagster, which ends by itself.
    """

    number: int
    clock: Clock
    is_run: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    log: Path = Path("/dev/null")
    stop_requested_at: float | None = None
    frozen: bool = False
    start_at: float = 0.0


@dataclass
class Workers:
    """All worker processes of a run: some of `cogo worker`, and possibly one that is a run of Dagster.

    Attributes:
        dagster: Starts the run of Dagster; None for no runs.
        exits: Number of ended processes by exit code.
        ended_themselves: A message for each worker that ended as stuck.
        violations: A message for each violation by a worker.
    """

    folder: Path
    environment: Mapping[str, str]
    count: int
    dagster: DagsterSide | None
    concurrency: int = CONCURRENCY
    exits: Counter[int] = field(default_factory=Counter)
    ended_themselves: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    no_more_runs: bool = False

    def __post_init__(self) -> None:
        slots = self.count if self.dagster is None else self.count + 1
        clocks = [Clock(self.folder / f"clock-{number}") for number in range(slots)]
        self.slots = [Slot(number, clock, is_run=number == self.count) for number, clock in enumerate(clocks)]
        write_entry_points(self.folder / "plugins")

    def look(self, *, restart: bool = True) -> None:
        """Replace ended processes, and kill those that do not end."""
        for slot in self.slots:
            if slot.process is None:
                if restart and time.monotonic() >= slot.start_at and not (slot.is_run and self.no_more_runs):
                    self._start(slot)
            elif (code := slot.process.poll()) is not None:
                self._ended(slot, code)
            elif (
                slot.stop_requested_at and not slot.frozen and time.monotonic() - slot.stop_requested_at > _STOP_SECONDS
            ):
                if not slot.is_run:  # the time that Dagster takes to end its process is not limited
                    self.violations.append(f"A worker has not ended {_STOP_SECONDS} s after its signal: {slot.log}.")
                slot.process.kill()
                slot.stop_requested_at = None

    def signal(self, slot: Slot, number: signal.Signals, *, group: bool = False) -> bool:
        """Send a signal; return whether there was a process."""
        if slot.process is None:
            return False
        with suppress(ProcessLookupError):
            if group:
                os.killpg(slot.process.pid, number)
            else:
                slot.process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGINT):
            slot.stop_requested_at = slot.stop_requested_at or time.monotonic()
        return True

    def freeze(self, slot: Slot) -> bool:
        """Stop the process until `thaw`; return whether there was one."""
        slot.frozen = slot.process is not None
        return self.signal(slot, signal.SIGSTOP)

    def thaw(self, slot: Slot) -> None:
        """Continue the process; the time limit after a signal starts again."""
        slot.frozen = False
        self.signal(slot, signal.SIGCONT)
        if slot.stop_requested_at is not None:
            slot.stop_requested_at = time.monotonic()

    def end(self) -> None:
        """Send a stop signal to all processes, and wait for their end."""
        for slot in self.slots:
            self.thaw(slot)
            self.signal(slot, signal.SIGTERM)
        while any(slot.process for slot in self.slots):
            self.look(restart=False)
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill all processes."""
        deadline = time.monotonic() + 10
        # Identified by their environment, since the ID of an ended process may have been reused.
        while (left := self.left()) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for slot in self.slots:
            if slot.process is not None:
                slot.process.wait()

    def alive_pids(self) -> list[int]:
        """Return the process IDs of workers without a stop signal that do not end by themselves."""
        return [
            slot.process.pid for slot in self.slots if slot.process and not slot.stop_requested_at and not slot.is_run
        ]

    def left(self) -> list[int]:
        """Return the living processes with this run's environment."""
        return started_with(VARIABLE, self.environment[VARIABLE])

    def _start(self, slot: Slot) -> None:
        slot.log = self.folder / f"worker-{slot.number}-{time.monotonic_ns()}.log"
        command = [str(_PROGRAM), "worker", "--concurrency", str(self.concurrency)]
        given = self.environment
        if slot.is_run and self.dagster is not None:
            command, given = self.dagster.command(), self.dagster.environment
        with slot.log.open("wb") as log:
            slot.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**given, **slot.clock.environment(), "WORKER_ID": f"chaos-{slot.number}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        slot.stop_requested_at, slot.frozen = None, False

    def _ended(self, slot: Slot, code: int) -> None:
        self.exits[code] += 1
        said = slot.log.read_text(errors="replace")
        if slot.is_run:
            pass  # Dagster's storage has the run's status
        elif code not in _ACCEPTED or _TRACEBACK in said.rpartition("event loop is blocked")[0]:
            self.violations.append(f"A worker ended with code {code}: {slot.log}: {said[-300:]!r}")
        elif code == ExitCode.STUCK:
            lines = [line for line in said.splitlines() if not _OF_A_JOB.match(line)]
            self.ended_themselves.append("\n".join([f"{slot.log}:", *lines[-_LOG_LINES:]]))
        elif code not in (KILLED_BY_JOB, -signal.SIGKILL):
            slot.log.unlink()
        slot.process, slot.stop_requested_at, slot.frozen = None, None, False
        slot.start_at = time.monotonic() + (_RUN_PAUSE_SECONDS if slot.is_run else 0.5)


def environment(folder: Path, database: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of worker processes, without other settings of the caller."""
    (folder / ".env").touch()
    (folder / "tmp").mkdir(exist_ok=True)
    given = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **given,
        **database,
        "COGO_HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": f"{folder / 'plugins'}:{PROJECT_ROOT}",
        "COGO_LEASE_SECONDS": str(LEASE_SECONDS),
        "COGO_GRACE_SECONDS": str(GRACE_SECONDS),
        "COGO_JOB_TIMEOUT_SECONDS": "20",
        "COGO_CONCURRENCY": str(CONCURRENCY),
        "BROWSER_REAL_MODE": "false",
        VARIABLE: str(folder / "effects.log"),
    }


def write_entry_points(folder: Path) -> None:
    """Install the executors of the chaos runs for these workers only."""
    metadata = folder / "cogo_chaos-0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(PATCH)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-chaos\nVersion: 0\n")
    module = "cogo_dagster_tests.chaos.executors"
    (metadata / "entry_points.txt").write_text(
        f"[cogo_dagster.executors]\nchaos = {module}:ChaosExecutor\nchaos_quick = {module}:ChaosQuickExecutor\n"
    )
