"""A program that `cogo dev` runs: the wait for its server, and its end."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cogo_dagster.cli import child as module
from cogo_dagster.cli.child import Child, ChildFailed

WAIT = "import signal; signal.signal(signal.SIGINT, lambda *_: exit(0)); signal.pause()"


@pytest.fixture(autouse=True)
def restored_handlers() -> Iterator[None]:
    """Restore the handlers of signals, which a child replaces."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def child(folder: Path, program: str) -> Child:
    """Return a child that runs a Python program."""
    return Child("The server", [sys.executable, "-c", program], folder, os.environ, folder / "log")


def test_an_answer_that_is_not_http_is_no_answer() -> None:
    """A connection to a port without a server may reach itself and return the request."""
    with socket.create_server(("127.0.0.1", 0)) as echo:

        def reply() -> None:
            connection, _ = echo.accept()
            with connection:
                connection.sendall(connection.recv(4_096))

        thread = threading.Thread(target=reply)
        thread.start()
        with httpx.Client() as client:
            assert not module._responds(client, f"http://127.0.0.1:{echo.getsockname()[1]}/")
        thread.join()


def test_the_wait_has_no_limit_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the program runs, the wait continues and says so; Ctrl-C ends it, and is remembered."""
    monkeypatch.setattr(module, "_responds", lambda *_: False)
    monkeypatch.setattr(module, "_REPORT_SECONDS", 0.0)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    reported: list[float] = []

    def report(seconds: float) -> None:
        reported.append(seconds)
        if len(reported) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with child(tmp_path, WAIT) as program:
        program.wait_until_ready("http://127.0.0.1:9/", report)
        assert program.interrupted
    assert len(reported) == 3


def test_a_program_that_exited_is_reported_with_its_last_line(tmp_path: Path) -> None:
    """The message names the log."""
    with (
        child(tmp_path, "print('Port 1 is in use.'); exit(1)") as program,
        pytest.raises(ChildFailed, match=r"The server exited: Port 1 is in use\. \(log: "),
    ):
        program.wait_until_ready("http://127.0.0.1:9/", lambda _: None)
