"""Run `cogo` in this process for speed, or as a separate process for signals."""

import contextlib
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from cogo_dagster.cli import main
from cogo_dagster_tests.forks import Started, start_with_pipe
from cogo_dagster_tests.polling import pause

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """Result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the JSON document on standard output."""
        return json.loads(self.out)


@dataclass
class Process:
    """A running `cogo`. Standard error goes to a file, so that the process never blocks on a full pipe."""

    popen: Started
    log: Path

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.popen.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children, as a terminal does for Ctrl-C."""
        os.killpg(self.popen.pid, number)

    def until(self, look: Callable[[], T]) -> T:
        """Poll until the result is true; fail if the process exits."""

        def look_if_alive() -> T:
            assert self.popen.poll() is None, f"The process exited: {self.log.read_text()}"
            return look()

        return eventually(look_if_alive)

    def until_logged(self, text: str) -> None:
        """Wait until the log contains a text."""
        self.until(lambda: text in self.log.read_text())

    def wait(self, seconds: float = 30) -> Answer:
        """Wait for the process to exit."""
        out, _ = self.popen.communicate(timeout=seconds)
        assert self.popen.returncode is not None
        return Answer(self.popen.returncode, out, self.log.read_text())


@dataclass
class Terminal:
    """A working directory and an environment, isolated from those of the caller.

    Attributes:
        objects: Returns the addresses of all stored objects.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    objects: Callable[[], list[str]] = list

    def run(self, *arguments: str, **environment: str) -> Answer:
        """Run a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment | environment, clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(arguments)
        return Answer(code, out.getvalue(), err.getvalue())

    def completes(self, *words: str) -> list[str]:
        """Return what the shell offers for the last of these words, in this process."""
        out = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment | self.completing(*words), clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            pytest.raises(SystemExit) as ended,
        ):
            main([])
        assert ended.value.code == 0
        return out.getvalue().split()

    @staticmethod
    def completing(*words: str) -> dict[str, str]:
        """Return the variables by which bash asks for what completes the last of these words after `cogo`."""
        line = {"COMP_WORDS": " ".join(("cogo", *words)), "COMP_CWORD": str(len(words))}
        return {"_COGO_COMPLETE": "complete_bash"} | line

    def ok(self, *arguments: str, **environment: str) -> Any:
        """Run a command that must succeed, and return its JSON document."""
        answer = self.run(*arguments, "--json", **environment)
        assert answer.code == 0, answer
        return answer.json

    @contextlib.contextmanager
    def start(self, *arguments: str, command: list[str] | None = None, **environment: str) -> Iterator[Process]:
        """Start a command, or another program that starts it; kill what still runs at the end."""
        log = self.folder / f"stderr-{time.monotonic_ns()}"
        given = self.environment | environment
        with log.open("w") as error:
            popen = (
                start_with_pipe(arguments, self.folder, given, error)
                if command is None
                else subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=given,
                    stdout=subprocess.PIPE,
                    stderr=error,
                    text=True,
                    start_new_session=True,
                )
            )
        try:
            yield Process(popen, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.communicate()


def terminal(folder: Path, dsn: str | None, environment: Mapping[str, str]) -> Terminal:
    """Return a terminal on a database; without one, the commands start the embedded server."""
    # An empty file, so that the .env of the project is not read.
    (folder / ".env").touch()
    given = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    database = {"COGO_DATABASE_URL": dsn} if dsn else {}
    home = folder / "home"
    own = {"COGO_HOME": str(home), "COGO_DATABASE_IDLE_SECONDS": "0"}
    return Terminal(folder, given | database | own | dict(environment), lambda: _files(home / "artifacts"))


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() and path.name != "deployment")


def eventually(look: Callable[[], T], seconds: float = 20, *, every: float = 0.02) -> T:
    """Poll until the result is true, and return it."""
    started = time.monotonic()
    while not (seen := look()):
        assert time.monotonic() < started + seconds, f"Not true within {seconds:g} s."
        pause(started, every)
    return seen
