"""Runs the steps that install a browser, in one process of the machine at a time.

A killed package manager leaves the packages in an inconsistent state (`dpkg was interrupted`). Therefore a step that
changes packages runs in its own session, ignores the signals that stop a worker, and is never killed. If this process
cannot wait for its end, the step continues in the background and holds the lock until it ends.
"""

import contextlib
import fcntl
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.executor import Interrupted
from cogo_dagster.queue.stopping import STOP

logger = logging.getLogger(__name__)

STEP_TIMEOUT_SECONDS = 900.0
"""How long to wait for a step, or for another process that is installing a browser."""

APT_LOCK_TIMEOUT_SECONDS = 600
"""How long apt-get waits for another program that is installing packages."""

STALL_TIMEOUT_SECONDS = 120.0
"""A download without progress for this long is ended: Playwright's own retries take 15 minutes."""

REPORT_SECONDS = 15.0
"""How often to log the progress of a step."""

_RETRY_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1
_PER_CENT: Final = re.compile(r"\d+% of [\d.]+ \w+")
_IGNORING_SIGNALS: Final = ("/bin/sh", "-c", "trap '' HUP INT TERM; exec \"$@\"", "sh")
_LOCKED: Final = ("Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock")
_INTERRUPTED: Final = "dpkg was interrupted"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the installation.

    Attributes:
        title: The title of the step, for log messages.
        packages: Whether the step changes the system's packages and must therefore not be killed.
        environment: Variables in addition to those of the installer.
    """

    title: str
    command: Sequence[str]
    packages: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


class Installer:
    """Runs steps. Created by `installer`, which holds the lock.

    Args:
        folder: The folder of the log and of apt's configuration.
        lock: Inherited by the steps, so that it is held until they end.

    Attributes:
        problems: Error messages of the steps that failed.
    """

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.problems: list[str] = []
        self._log = folder / "install-browser.log"
        self._apt_config = folder / "apt.conf"
        self._lock = lock

    def run(self, step: Step) -> None:
        """Run a step. A failure is logged and added to `problems`, since the next step may succeed.

        Raises:
            ExecutorUnavailable: The step timed out, or the system's packages need a manual repair.
            Interrupted: The worker is being stopped.
        """
        logger.warning("%s. This happens once and can take a few minutes.", step.title)
        deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
        while (problem := self._run(step, deadline)) is not None:
            if not any(marker in problem for marker in _LOCKED) or time.monotonic() + _RETRY_SECONDS > deadline:
                break
            logger.warning("%s: waiting for another program that is installing packages.", step.title)
            _sleep(_RETRY_SECONDS)
        if problem is None:
            return
        self.problems.append(f"{step.title} failed: {_reason(problem)}")
        logger.warning("%s", self.problems[-1])
        if _INTERRUPTED in problem:
            raise ExecutorUnavailable(
                "No browser can be installed: a package installation was interrupted on this machine. "
                "Run `dpkg --configure -a` as root, then start again."
            )

    def _run(self, step: Step, deadline: float) -> str | None:
        """Run a step once; return its output if it failed."""
        self._apt_config.write_text(f'DPkg::Lock::Timeout "{APT_LOCK_TIMEOUT_SECONDS}";\n', encoding="utf-8")
        own = {"LC_ALL": "C", "APT_CONFIG": str(self._apt_config)}
        with self._log.open("wb") as log:  # a file, since a step may outlive this process, whose pipe would be closed
            try:
                process = subprocess.Popen(  # noqa: S603 - fixed commands
                    [*(_IGNORING_SIGNALS if step.packages else ()), *step.command],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=clean_environment(os.environ, installing=True) | own | dict(step.environment),
                    pass_fds=[self._lock.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                return str(error)
        stalled = self._wait(process, step, deadline)
        if stalled:
            return stalled
        output = self._log.read_text(encoding="utf-8", errors="replace")
        return (output or f"exit code {process.returncode}") if process.returncode else None

    def _wait(self, process: "subprocess.Popen[bytes]", step: Step, deadline: float) -> str | None:
        """Wait for the process to end; return the reason if a stalled download was killed."""
        progress = _Progress(step, self._log)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
                    return None
                _raise_if_stopping()
                progress.report()
                if not step.packages and progress.stalled:
                    _kill(process)
                    return f"no progress for {STALL_TIMEOUT_SECONDS:.0f} s"
                if time.monotonic() > deadline:
                    limit = f"{STEP_TIMEOUT_SECONDS:.0f} s"
                    message = f"{step.title} took longer than {limit}: see {self._log}, then start again."
                    raise ExecutorUnavailable(message)  # noqa: TRY301 - cleaned up like a stop
        except BaseException:
            if step.packages:
                logger.warning("%s continues as process %s; its log is %s.", step.title, process.pid, self._log)
            else:
                _kill(process)
            raise


class _Progress:
    """Logs the progress of a step and detects a stall.

    Only the percentage counts as progress: an installer that keeps retrying writes other lines.
    """

    def __init__(self, step: Step, log: Path) -> None:
        self._step = step
        self._log = log
        self._arrived = ""
        self._arrived_at = self._reported_at = time.monotonic()

    def report(self) -> None:
        """Log the last line, at most every `REPORT_SECONDS`."""
        now = time.monotonic()
        if now - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = now
        output = self._log.read_text(encoding="utf-8", errors="replace")
        arrived = (_PER_CENT.findall(output) or [""])[-1]
        if arrived != self._arrived:
            self._arrived, self._arrived_at = arrived, now
        last = arrived or (output.strip().splitlines() or ["no output yet"])[-1]
        logger.info("%s: %s", self._step.title, last[:200])

    @property
    def stalled(self) -> bool:
        """Whether there was no progress for `STALL_TIMEOUT_SECONDS`."""
        return time.monotonic() - self._arrived_at > STALL_TIMEOUT_SECONDS


@contextlib.contextmanager
def installer(folder: Path) -> Iterator[Installer]:
    """Hold the installation lock, which is exclusive.

    Args:
        folder: The folder of the lock and the log; created if missing.

    Raises:
        ExecutorUnavailable: Another process held the lock for too long, or the lock cannot be created.
        Interrupted: The worker is being stopped.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "install-browser.lock").open("w")
    except OSError as error:
        raise ExecutorUnavailable(
            f"No browser can be installed: {folder} is not writable ({error.strerror}). Set COGO_HOME to a writable "
            "folder."
        ) from error
    with lock:
        _acquire(lock)
        try:
            yield Installer(folder, lock)
        except OSError as error:
            raise ExecutorUnavailable(
                f"No browser can be installed: {folder} is not writable ({error.strerror}). Free some disk space."
            ) from error


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _acquire(lock: IO[str]) -> None:
    deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ExecutorUnavailable(
                    f"Another process has been installing a browser for {STEP_TIMEOUT_SECONDS:.0f} s: "
                    f"see {Path(lock.name).with_suffix('.log')}, then start again."
                ) from None
            _sleep(_POLL_SECONDS)
        else:
            return


def _sleep(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left_seconds := deadline - time.monotonic()) > 0:
        _raise_if_stopping()
        time.sleep(min(left_seconds, _POLL_SECONDS))


def _raise_if_stopping() -> None:
    if STOP.stopped_at() is not None:
        raise Interrupted("The worker was stopped while it was installing a browser.")


def _reason(output: str) -> str:
    lines = output.strip().splitlines() or [output]
    return next((line for line in lines if "error" in line.lower() or line.startswith("E: ")), lines[-1])
