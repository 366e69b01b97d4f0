"""Runs a peer's program in a separate process and communicates with it."""

import json
import os
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any, Final, Self

from benchmarks.peers import Peer
from cogo_dagster.settings import PROJECT_ROOT

READY_TIMEOUT_SECONDS: Final = 180.0
END_TIMEOUT_SECONDS: Final = 15.0


class ProgramFailed(Exception):
    """A peer's program failed; the message contains the end of its standard error."""


class Program:
    """A running program; see peers/program.py for the protocol.

    Attributes:
        ran: The number of jobs it has run so far.
        started: The start of each job in monotonic nanoseconds, by job number; known after `end`.
        result: The measurement of a program that ends by itself.
    """

    def __init__(self, peer: Peer, mode: str, dsn: str, **options: Any) -> None:
        command, folder = peer.command()
        self._name = f"{peer.name} {mode}"
        self.ran = 0
        self.started: dict[int, int] = {}
        self.result: dict[str, Any] | None = None
        self._ready = threading.Event()
        self._moved = threading.Condition()
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*command, mode, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=folder or PROJECT_ROOT,
            env={**os.environ, **peer.environment, "BENCHMARK_DSN": dsn},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until the program is connected."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not self._ready.wait(0.05):
            self.check_alive()
            if time.monotonic() > deadline:
                raise self._failure("did not become ready")

    def go(self) -> None:
        """Make the program start its work."""
        self._write("GO")

    def admit(self, jobs: int) -> None:
        """Let a program with the option `in_turns` start further jobs."""
        self._write(str(jobs))

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def check_alive(self) -> None:
        """Raise ProgramFailed if the program has ended."""
        if self._process.poll() is not None:
            raise self._failure("ended")

    def wait_for_progress(self, seconds: float) -> None:
        """Wait until the program has run more jobs, at most *seconds*."""
        with self._moved:
            self._moved.wait(seconds)

    def end(self) -> None:
        """End the program gracefully, or kill it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_TIMEOUT_SECONDS)
        self._reader.join(END_TIMEOUT_SECONDS)

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait for a program that ends by itself, and return its measurement."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.end()
        if self.result is None:
            raise self._failure(f"returned no result within {seconds:g} s")
        return self.result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._stderr.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, _, rest = line.strip().partition(" ")
            match kind:
                case "READY":
                    self._ready.set()
                case "RAN":
                    with self._moved:
                        self.ran = int(rest)
                        self._moved.notify_all()
                case "STARTED":
                    self.started = {int(number): at for number, at in json.loads(rest).items()}
                case "RESULT":
                    self.result = json.loads(rest)
                case _:
                    pass  # output of libraries

    def _failure(self, what: str) -> ProgramFailed:
        self._stderr.seek(0)
        return ProgramFailed(f"{self._name} {what}: {self._stderr.read()[-2000:]}")
