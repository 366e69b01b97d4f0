"""A long-running program started by a command: its own process group, its log, and an end that leaves nobody behind."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from cogo_dagster.executors.errors import ExecutorUnavailable

_STOP_SECONDS: Final = 30.0
_GLANCE_SECONDS: Final = 0.25


class ChildFailed(ExecutorUnavailable):
    """The program ended, or never answered; the message holds its last words."""


class Child:
    """Runs a program while it is entered; SIGINT and SIGTERM to us end it.

    Args:
        name: What the messages call it.
        log_file: Gets its output, from the beginning.
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

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
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
        """Interrupt the whole group, so that workers requeue their jobs; kill what is left after half a minute."""
        self._signal_group(signal.SIGINT)
        if not self._group_ended(_STOP_SECONDS):
            self._signal_group(signal.SIGKILL)
            self._group_ended(_STOP_SECONDS)

    def wait_until_answers(self, url: str, seconds: float) -> None:
        """Return once an HTTP GET of the address succeeds, or the user asked to stop.

        Raises:
            ChildFailed: The program ended, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while not self._stopping:
            self._require_alive()
            with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self._name} did not answer within {seconds:.0f} s: see {self._log_file}.")
            time.sleep(_GLANCE_SECONDS)

    def wait(self) -> None:
        """Return when the user asks to stop.

        Raises:
            ChildFailed: The program ended by itself.
        """
        while not self._stopping:
            self._require_alive()
            time.sleep(_GLANCE_SECONDS)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of handlers
        self._stopping = True

    def _require_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            lines = self._log_file.read_text(errors="replace").strip().splitlines()
            raise ChildFailed(
                f"{self._name} ended by itself: {lines[-1] if lines else 'no output'} ({self._log_file})."
            )

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
            time.sleep(_GLANCE_SECONDS)
        return False


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
