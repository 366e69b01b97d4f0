"""A peer's program as a process of its own: started, told to go, listened to, ended."""

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

READY_SECONDS: Final = 180.0
END_SECONDS: Final = 15.0


class ProgramFailed(Exception):
    """A peer's program did not do what it should; the message holds the end of what it complained of."""


class Program:
    """One running program; see peers/program.py for what is said on the wire.

    Attributes:
        ran: Jobs it has run so far.
        started: By job number, the monotonic nanoseconds at which it began; known after `end`.
        result: What a program that ends by itself has measured.
    """

    def __init__(self, peer: Peer, mode: str, dsn: str, **options: Any) -> None:
        command, folder = peer.command()
        self._name = f"{peer.name} {mode}"
        self.ran = 0
        self.started: dict[int, int] = {}
        self.result: dict[str, Any] | None = None
        self._ready = threading.Event()
        self._moved = threading.Condition()
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*command, mode, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            cwd=folder or PROJECT_ROOT,
            env={**os.environ, **peer.environment, "BENCHMARK_DSN": dsn},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until it is connected."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready.wait(0.05):
            self.check_alive()
            if time.monotonic() > deadline:
                raise self._failure("did not get ready")

    def go(self) -> None:
        """Let it work."""
        assert self._process.stdin is not None
        self._process.stdin.write("GO\n")
        self._process.stdin.flush()

    def check_alive(self) -> None:
        """Complain if it has ended."""
        if self._process.poll() is not None:
            raise self._failure("ended")

    def wait_for_move(self, seconds: float) -> None:
        """Wait until it has run more jobs, or the time is up."""
        with self._moved:
            self._moved.wait(seconds)

    def end(self) -> None:
        """Ask it to end, and make it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_SECONDS)
        self._reader.join(END_SECONDS)

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait for a program that ends by itself, and return what it measured."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.end()
        if self.result is None:
            raise self._failure(f"gave no result within {seconds:g} s")
        return self.result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._complaints.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            match word:
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
                    pass  # some libraries greet

    def _failure(self, wrong: str) -> ProgramFailed:
        self._complaints.seek(0)
        return ProgramFailed(f"{self._name} {wrong}: {self._complaints.read()[-2000:]}")
