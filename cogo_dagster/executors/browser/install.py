"""Run the steps that install a browser, one process of this machine at a time.

A package manager that is killed half-way leaves the machine's packages broken (`dpkg was interrupted`). So a step that
changes packages runs in a session of its own and ignores the signals that stop a worker; it is never killed. Where we
cannot wait for its end, it goes on without us, and keeps the lock until then.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.executor import Interrupted
from cogo_dagster.queue.stopping import STOP

logger = logging.getLogger(__name__)

STEP_SECONDS = 900.0
"""How long to wait for a step, or for another process that installs a browser."""

APT_LOCK_SECONDS = 600
"""How long apt-get waits for another program that installs packages."""

_RETRY_SECONDS: Final = 2.0
_GLANCE_SECONDS: Final = 0.1
_IGNORING_SIGNALS: Final = ("/bin/sh", "-c", "trap '' HUP INT TERM; exec \"$@\"", "sh")
_LOCKED: Final = ("Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock")
_INTERRUPTED: Final = "dpkg was interrupted"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the installation.

    Attributes:
        what: What is being done, for people.
        packages: Whether it changes the system's packages, so that it must not be killed.
    """

    what: str
    command: Sequence[str]
    packages: bool = True


class Installer:
    """Runs steps; made by `installer`, which holds the lock.

    Args:
        folder: Where the log and apt's configuration are kept.
        lock: Inherited by the steps, so that it lasts as long as they do.
    """

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self._log = folder / "install-browser.log"
        self._apt_config = folder / "apt.conf"
        self._lock = lock

    def run(self, step: Step) -> None:
        """Run a step; a failure is only logged, since the next step may do.

        Raises:
            ExecutorUnavailable: It takes too long, or the system's packages are in a state that people must mend.
            Interrupted: The worker is being stopped.
        """
        logger.warning("%s; this happens once and can take a few minutes.", step.what)
        deadline = time.monotonic() + STEP_SECONDS
        while (problem := self._run(step, deadline)) is not None:
            if not any(words in problem for words in _LOCKED) or time.monotonic() + _RETRY_SECONDS > deadline:
                break
            logger.warning("%s waits: another program is installing packages.", step.what)
            _pause(_RETRY_SECONDS)
        if problem is None:
            return
        logger.warning("%s did not work: %s", step.what, _reason(problem))
        if _INTERRUPTED in problem:
            raise ExecutorUnavailable(
                "No browser can be installed, since an installation of packages was interrupted on this machine: "
                "run `dpkg --configure -a` as root, then start again."
            )

    def _run(self, step: Step, deadline: float) -> str | None:
        """Run a step once; return what it printed if it failed."""
        self._apt_config.write_text(f'DPkg::Lock::Timeout "{APT_LOCK_SECONDS}";\n', encoding="utf-8")
        own = {"LC_ALL": "C", "APT_CONFIG": str(self._apt_config)}
        with self._log.open("wb") as log:  # a file, since what goes on without us must not write to a broken pipe
            try:
                process = subprocess.Popen(  # noqa: S603 - fixed commands
                    [*(_IGNORING_SIGNALS if step.packages else ()), *step.command],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=clean_environment(os.environ, installing=True) | own,
                    pass_fds=[self._lock.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                return str(error)
        self._wait(process, step, deadline)
        said = self._log.read_text(encoding="utf-8", errors="replace")
        return (said or f"exit code {process.returncode}") if process.returncode else None

    def _wait(self, process: "subprocess.Popen[bytes]", step: Step, deadline: float) -> None:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GLANCE_SECONDS)
                    return
                _stop_if_asked()
                if time.monotonic() > deadline:
                    sentence = f"{step.what} took longer than {STEP_SECONDS:.0f} s: see {self._log}, then start again."
                    raise ExecutorUnavailable(sentence)  # noqa: TRY301 - ends as a stop does
        except BaseException:
            if step.packages:
                logger.warning("%s goes on as process %s; its log is %s.", step.what, process.pid, self._log)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise


@contextlib.contextmanager
def installer() -> Iterator[Installer]:
    """Lend the right to install, which one process of this account has at a time.

    Raises:
        ExecutorUnavailable: Another one had it for too long, or there is no place to keep the lock.
        Interrupted: The worker is being stopped.
    """
    folder = Path("~/.cache/cogo-dagster").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "install-browser.lock").open("w")
    except OSError as error:
        raise ExecutorUnavailable(
            f"No browser can be installed, since {folder} cannot be written ({error.strerror}): set HOME."
        ) from error
    with lock:
        _take(lock)
        yield Installer(folder, lock)


def _take(lock: IO[str]) -> None:
    deadline = time.monotonic() + STEP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ExecutorUnavailable(
                    f"Another process has been installing a browser for {STEP_SECONDS:.0f} s: "
                    f"see {Path(lock.name).with_suffix('.log')}, then start again."
                ) from None
            _pause(_GLANCE_SECONDS)
        else:
            return


def _pause(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left_seconds := deadline - time.monotonic()) > 0:
        _stop_if_asked()
        time.sleep(min(left_seconds, _GLANCE_SECONDS))


def _stop_if_asked() -> None:
    if STOP.stopped_at() is not None:
        raise Interrupted("The worker was stopped while a browser was being installed.")


def _reason(said: str) -> str:
    lines = said.strip().splitlines() or [said]
    return next((line for line in lines if "error" in line.lower() or line.startswith("E: ")), lines[-1])
