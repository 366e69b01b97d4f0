"""Use `cogo` as people do: in this process for speed, or as a process of its own to signal and kill."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from cogo_dagster.cli import main

T = TypeVar("T")

PROGRAM = Path(sys.executable).with_name("cogo")


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


@dataclass
class Process:
    """A `cogo` that runs. Its standard error goes to a file, so that it never waits for a reader."""

    popen: "subprocess.Popen[str]"
    log: Path

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.popen.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children, as a terminal does for Ctrl-C."""
        os.killpg(self.popen.pid, number)

    def until(self, look: Callable[[], T]) -> T:
        """Look until what is seen is true, as long as the process lives."""

        def look_at_a_live_one() -> T:
            assert self.popen.poll() is None, f"It ended: {self.log.read_text()}"
            return look()

        return eventually(look_at_a_live_one)

    def until_said(self, words: str) -> None:
        """Wait until its log has these words."""
        self.until(lambda: words in self.log.read_text())

    def wait(self, seconds: float = 30) -> Answer:
        """Wait for the end."""
        out, _ = self.popen.communicate(timeout=seconds)
        return Answer(self.popen.returncode, out, self.log.read_text())


@dataclass
class Terminal:
    """A folder to work in and the environment; nothing else of the caller's gets in.

    Attributes:
        objects: Returns the addresses of all artifacts that are stored.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    objects: Callable[[], list[str]] = list

    def run(self, *words: str, **environment: str) -> Answer:
        """Run a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment | environment, clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(words)
        return Answer(code, out.getvalue(), err.getvalue())

    def ok(self, *words: str, **environment: str) -> Any:
        """Run a command that must succeed; return its JSON document."""
        answer = self.run(*words, "--json", **environment)
        assert answer.code == 0, answer
        return answer.json

    @contextlib.contextmanager
    def start(self, *words: str, command: list[str] | None = None, **environment: str) -> Iterator[Process]:
        """Start a command, or another program that starts it; what still runs at the end is killed."""
        log = self.folder / f"stderr-{time.monotonic_ns()}"
        with log.open("w") as error:
            popen = subprocess.Popen(
                command or [str(PROGRAM), *words],
                cwd=self.folder,
                env=self.environment | environment,
                stdout=subprocess.PIPE,
                stderr=error,
                text=True,
                start_new_session=True,
            )
        try:
            yield Process(popen, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.communicate()


def terminal(folder: Path, dsn: str | None, environment: Mapping[str, str]) -> Terminal:
    """Make a terminal on a database of one's own; without one, the commands would start the embedded server."""
    # An empty file of one's own, so that the project's .env is not read.
    (folder / ".env").touch()
    given = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    database = {"COGO_DATABASE_URL": dsn} if dsn else {}
    home = folder / "home"
    return Terminal(
        folder, given | database | {"COGO_HOME": str(home)} | dict(environment), lambda: _files(home / "artifacts")
    )


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() and path.name != "deployment")


def eventually(look: Callable[[], T], seconds: float = 20) -> T:
    """Look again and again until what is seen is true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{seconds:g} s have passed without it."
        time.sleep(0.02)
    return seen
