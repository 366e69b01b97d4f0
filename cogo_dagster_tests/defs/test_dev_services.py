"""The process that runs the services of `cogo dev`."""

import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from cogo_dagster.dagster_support.dev_services import ServiceEnded, running


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, as in a program of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_exit_of_the_webserver_ends_the_others() -> None:
    """The process that started it is interrupted, and the error has the exit code."""
    command = [sys.executable, "-c", "exit(3)"]
    with (
        pytest.raises(ServiceEnded, match="The webserver shut down unexpectedly with return code 3"),
        running("The webserver", command, seconds=0),
    ):
        threading.Event().wait(30)


def test_an_interrupt_ends_the_webserver() -> None:
    """Ctrl-C stops it, although it is stopped by the same signal at the same time."""
    command = [sys.executable, "-c", "import signal; signal.raise_signal(signal.SIGINT)"]
    with pytest.raises(KeyboardInterrupt), running("The webserver", command, seconds=60):
        raise KeyboardInterrupt
