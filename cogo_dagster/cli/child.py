"""Run a long-lived program in its own process group, with a log file, and stop the whole group."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

import httpx

from cogo_dagster.executors.errors import ExecutorUnavailable

_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.25
_REPORT_SECONDS: Final = 60.0


class ChildFailed(ExecutorUnavailable):
    """The program exited; the message contains its last line of output."""


class Child:
    """A context manager that runs a program; SIGINT and SIGTERM to this process stop it.

    Args:
        name: Its name in messages.
        log_file: Receives its output; truncated at start.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str], log_file: Path
    ) -> None:
        self._name = name
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        """Whether the signal that stops the program was SIGINT, as of Ctrl-C."""
        return self._interrupted

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of this project
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send SIGINT to the process group, so that workers requeue their jobs, and SIGKILL after 30 s."""
        self._signal_group(signal.SIGINT)
        if not self._group_ended(_STOP_SECONDS):
            self._signal_group(signal.SIGKILL)
            self._group_ended(_STOP_SECONDS)

    def wait_until_ready(self, url: str, waiting: Callable[[float], None]) -> None:
        """Wait until an HTTP GET of the address succeeds, the program exits, or SIGINT or SIGTERM arrives.

        There is no limit: a start takes minutes on a machine under load.

        Args:
            waiting: Called once a minute with the seconds since the start.

        Raises:
            ChildFailed: The program exited.
        """
        began_at = time.monotonic()
        reported = 0.0
        # One client, since each reads the certificates of all authorities, which takes longer than Dagster's response.
        with httpx.Client(timeout=2, trust_env=False) as client:
            while not self._stopping:
                self._check_alive()
                if _responds(client, url):
                    return
                elapsed = time.monotonic() - began_at
                if elapsed - reported >= _REPORT_SECONDS:
                    reported = elapsed
                    waiting(elapsed)
                time.sleep(_POLL_SECONDS)

    def wait(self) -> None:
        """Wait for SIGINT or SIGTERM.

        Raises:
            ChildFailed: The program exited.
        """
        while not self._stopping:
            self._check_alive()
            time.sleep(_POLL_SECONDS)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._interrupted = self._interrupted or (number == signal.SIGINT and not self._stopping)
        self._stopping = True

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            lines = self._log_file.read_text(errors="replace").strip().splitlines()
            raise ChildFailed(f"{self._name} exited: {lines[-1] if lines else 'no output'} (log: {self._log_file}).")

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _group_ended(self, seconds: float) -> bool:
        assert self._process is not None  # noqa: S101 - entered
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(_POLL_SECONDS)
        return False


def _responds(client: httpx.Client, url: str) -> bool:
    """Whether an HTTP GET succeeds. On a port that no process listens on, a connection may reach itself."""
    try:
        return client.get(url).is_success
    except httpx.HTTPError:
        return False


def port_is_free(port: int) -> bool:
    """Whether a server can listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
