"""The worker processes of a run: started, signalled, restarted when they end, and looked at afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogo_dagster.cli.command import ExitCode
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.chaos.clocks import PATCH, Clock
from cogo_dagster_tests.chaos.effects import VARIABLE
from cogo_dagster_tests.processes import started_with

LEASE_SECONDS: Final = 5
GRACE_SECONDS: Final = 3
KILLED_BY_JOB: Final = 77
CONCURRENCY: Final = 100
"""Many, so that quick jobs are recorded and settled many at a time."""

_PROGRAM: Final = Path(sys.executable).with_name("cogo")
_STOP_SECONDS: Final = GRACE_SECONDS + 10 + 30
"""A worker ends ten seconds after its grace; the rest is for a machine that is busy with something else."""
_ACCEPTED: Final = frozenset(
    {ExitCode.OK, ExitCode.DATABASE, ExitCode.STUCK, KILLED_BY_JOB, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
)
"""Signals among them: SIGTERM and SIGINT before the handlers stand."""
_RUN_PAUSE_SECONDS: Final = 10.0
"""A run of Dagster takes as long to start as thousands of jobs take."""
_TRACEBACK: Final = "Traceback (most recent call last)"
_OF_A_JOB: Final = re.compile(r"\S+ (claimed|executed|settled|uploaded|lease_lost) ")
_LOG_LINES: Final = 40
"""How much of the log of a worker that ended itself as stuck is reported."""


@dataclass
class Slot:
    """The place of one worker; when the process ends, another one is started.

    Attributes:
        is_run: Whether it is a run of Dagster's, which ends by itself.
    """

    number: int
    clock: Clock
    is_run: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    log: Path = Path("/dev/null")
    stop_asked_at: float | None = None
    frozen: bool = False
    start_at: float = 0.0


@dataclass
class Workers:
    """All worker processes of a run: some of `cogo worker`, and one that is a run of Dagster's.

    Attributes:
        dagster_command: Makes the command of the next run.
        exits: How many processes ended with which code.
        ended_themselves: Why workers ended as stuck, a sentence each.
        troubles: What no worker may do, a sentence each.
    """

    folder: Path
    environment: Mapping[str, str]
    count: int
    dagster_command: Callable[[], Sequence[str]]
    dagster_environment: Mapping[str, str]
    concurrency: int = CONCURRENCY
    exits: Counter[int] = field(default_factory=Counter)
    ended_themselves: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    no_more_runs: bool = False

    def __post_init__(self) -> None:
        clocks = [Clock(self.folder / f"clock-{number}") for number in range(self.count + 1)]
        self.slots = [Slot(number, clock, is_run=number == self.count) for number, clock in enumerate(clocks)]
        write_entry_points(self.folder / "plugins")

    def look(self, *, restart: bool = True) -> None:
        """Notice processes that ended, start others in their place, and give up those that do not end."""
        for slot in self.slots:
            if slot.process is None:
                if restart and time.monotonic() >= slot.start_at and not (slot.is_run and self.no_more_runs):
                    self._start(slot)
            elif (code := slot.process.poll()) is not None:
                self._ended(slot, code)
            elif slot.stop_asked_at and not slot.frozen and time.monotonic() - slot.stop_asked_at > _STOP_SECONDS:
                if not slot.is_run:  # how long Dagster takes to end its process is Dagster's
                    self.troubles.append(f"A worker has not ended {_STOP_SECONDS} s after its signal: {slot.log}.")
                slot.process.kill()
                slot.stop_asked_at = None

    def signal(self, slot: Slot, number: signal.Signals, *, group: bool = False) -> bool:
        """Send a signal; return whether somebody is there."""
        if slot.process is None:
            return False
        with suppress(ProcessLookupError):
            if group:
                os.killpg(slot.process.pid, number)
            else:
                slot.process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGINT):
            slot.stop_asked_at = slot.stop_asked_at or time.monotonic()
        return True

    def freeze(self, slot: Slot) -> bool:
        """Stop the process until `thaw`; return whether there is one."""
        slot.frozen = slot.process is not None
        return self.signal(slot, signal.SIGSTOP)

    def thaw(self, slot: Slot) -> None:
        """Let it go on; the time to end after a signal begins anew."""
        slot.frozen = False
        self.signal(slot, signal.SIGCONT)
        if slot.stop_asked_at is not None:
            slot.stop_asked_at = time.monotonic()

    def end(self) -> None:
        """Ask all to end, and wait until they have."""
        for slot in self.slots:
            self.thaw(slot)
            self.signal(slot, signal.SIGTERM)
        while any(slot.process for slot in self.slots):
            self.look(restart=False)
            time.sleep(0.1)

    def kill(self) -> None:
        """Leave nothing, whatever happens."""
        deadline = time.monotonic() + 10
        # Told by their environment: the number of a process that has ended may be somebody else's now.
        while (left := self.left()) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for slot in self.slots:
            if slot.process is not None:
                slot.process.wait()

    def alive_pids(self) -> list[int]:
        """Return the workers that run until they are asked to end, and were not."""
        return [slot.process.pid for slot in self.slots if slot.process and not slot.stop_asked_at and not slot.is_run]

    def left(self) -> list[int]:
        """Return the processes with this run's environment that still live."""
        return started_with(VARIABLE, self.environment[VARIABLE])

    def _start(self, slot: Slot) -> None:
        slot.log = self.folder / f"worker-{slot.number}-{time.monotonic_ns()}.log"
        command = [str(_PROGRAM), "worker", "--concurrency", str(self.concurrency)]
        given = self.dagster_environment if slot.is_run else self.environment
        with slot.log.open("wb") as log:
            slot.process = subprocess.Popen(
                self.dagster_command() if slot.is_run else command,
                cwd=self.folder,
                env={**given, **slot.clock.environment(), "WORKER_ID": f"chaos-{slot.number}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        slot.stop_asked_at, slot.frozen = None, False

    def _ended(self, slot: Slot, code: int) -> None:
        self.exits[code] += 1
        said = slot.log.read_text(errors="replace")
        if slot.is_run:
            pass  # how a run ended, Dagster's storage says
        elif code not in _ACCEPTED or _TRACEBACK in said.rpartition("event loop is blocked")[0]:
            self.troubles.append(f"A worker ended with code {code}: {slot.log}: {said[-300:]!r}")
        elif code == ExitCode.STUCK:
            lines = [line for line in said.splitlines() if not _OF_A_JOB.match(line)]
            self.ended_themselves.append("\n".join([f"{slot.log}:", *lines[-_LOG_LINES:]]))
        elif code not in (KILLED_BY_JOB, -signal.SIGKILL):
            slot.log.unlink()
        slot.process, slot.stop_asked_at, slot.frozen = None, None, False
        slot.start_at = time.monotonic() + (_RUN_PAUSE_SECONDS if slot.is_run else 0.5)


def environment(folder: Path, database: Mapping[str, str]) -> dict[str, str]:
    """Return what worker processes get, and nothing else of the caller's settings."""
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
    """Install the executors of the chaos runs where only these workers look."""
    metadata = folder / "cogo_chaos-0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(PATCH)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-chaos\nVersion: 0\n")
    module = "cogo_dagster_tests.chaos.executors"
    (metadata / "entry_points.txt").write_text(
        f"[cogo_dagster.executors]\nchaos = {module}:ChaosExecutor\nchaos_quick = {module}:ChaosQuickExecutor\n"
    )
