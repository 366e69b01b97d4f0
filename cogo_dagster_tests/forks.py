"""Starts `cogo` in forks of a process that has imported it: the imports take most of the time of a short command.

A fork is a process of its own session, with its own environment, folder, output and signals, and runs `main` as the
installed program does. Tests of shells, of the help, of the wheel and of hosts start the program itself.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, TextIO

from cogo_dagster.imports import quick_imports

PROGRAM: Final = Path(sys.executable).with_name("cogo")

_HEADER: Final = struct.Struct("!I")
_IMPORTED: Final = (
    *(f"cogo_dagster.cli.{name}" for name in ("worker", "watch", "artifact", "enqueue", "failures")),
    "playwright.async_api",
)
_READ_AT_START: Final = ("PYTHON", "LD_", "LC_", "MALLOC_", "TZ")
"""Variables that a process reads once, when it starts."""

_SERVER: Final = "import sys; from cogo_dagster_tests.forks import serve; serve(int(sys.argv[1]))"


class Fork:
    """A running command, with the attributes of `Popen` that tests use.

    Attributes:
        stdout: The end of the pipe that it writes to, if there is one.
        returncode: None while it runs; negative after a signal.
    """

    def __init__(self, status: TextIO) -> None:
        self.stdout: TextIO | None = None
        self.returncode: int | None = None
        self._status = status
        self.pid = int(status.readline())
        self._text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._look(0)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read its output until no process has it open, and wait for its end.

        Raises:
            TimeoutExpired: It still runs, or another process has inherited its output.
        """
        if self._reader.ident is None:
            self._reader.start()
        self._reader.join(timeout)
        if self._reader.is_alive() or self._look(timeout) is None:
            raise subprocess.TimeoutExpired("cogo", timeout or 0)
        return self._text, None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _read(self) -> None:
        if self.stdout:
            with self.stdout:
                self._text = self.stdout.read()

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], seconds)[0]:
            with self._status:
                self.returncode = int(self._status.readline())
        return self.returncode


Started = Fork | subprocess.Popen[str]
"""A fork, or a new process where a fork is not possible."""


def start_with_pipe(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: TextIO) -> Started:
    """Start `cogo` in a new session, with a pipe as its standard output and the log as its standard error."""
    output, to_output = os.pipe()
    started = start(arguments, folder, environment, [0, to_output, log.fileno()])
    os.close(to_output)
    started.stdout = os.fdopen(output)
    return started


def start(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: Sequence[int]) -> Started:
    """Start `cogo` in a new session, with three descriptors as its standard streams."""
    if not _can_fork(environment):
        stdin, stdout, stderr = streams
        return subprocess.Popen(
            [str(PROGRAM), *arguments],
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    request = json.dumps([arguments, str(folder), dict(environment)]).encode()
    status, to_status = os.pipe()
    server = _server()
    socket.send_fds(server, [_HEADER.pack(len(request))], [*streams, to_status])
    server.sendall(request)
    os.close(to_status)
    return Fork(os.fdopen(status))


def _can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a fork is as good as a new process: on macOS, system libraries may end a fork."""
    return sys.platform == "linux" and not any(name.startswith(_READ_AT_START) for name in environment)


@cache
def _server() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _SERVER, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(number: int) -> None:
    """Import the commands, and fork for each request on a socket; return in the forks when `cogo` has ended."""
    import_module("cogo_dagster.cli")
    with quick_imports():
        for name in _IMPORTED:
            import_module(name)
        for entry in entry_points(group="cogo_dagster.executors"):
            entry.load()
    gc.freeze()  # a collection in a fork would copy all memory
    assert threading.active_count() == 1, "A fork has one thread only."
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the processes that wait for the forks are not waited for
    with socket.socket(fileno=number) as requests:
        while received := _receive(requests):
            request, descriptors = received
            if os.fork() == 0:
                requests.close()
                break
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            return
    _wait_for_fork(*descriptors)
    _become(*request, *descriptors)
    sys.exit(import_module("cogo_dagster.cli").main())


def _receive(requests: socket.socket) -> tuple[list[Any], list[int]] | None:
    header, descriptors, _, _ = socket.recv_fds(requests, _HEADER.size, 4)
    if not header:
        return None
    document = b""
    while missing := _HEADER.unpack(header)[0] - len(document):
        document += requests.recv(missing)
    return json.loads(document), descriptors


def _wait_for_fork(*descriptors: int) -> None:
    """Fork again; return in the new process, and report its ID and its end in this one."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return
    *streams, status = descriptors
    os.write(status, b"%d\n" % pid)
    for descriptor in streams:
        os.close(descriptor)
    _, code = os.waitpid(pid, 0)
    os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
    os._exit(0)


def _become(arguments: list[str], folder: str, environment: dict[str, str], *descriptors: int) -> None:
    """Take the place of a process that was started with these arguments, folder, environment and descriptors."""
    os.setsid()
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(PROGRAM), *arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[0] = str(PROGRAM.parent)
