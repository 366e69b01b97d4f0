"""Runs a command under a guard and returns its exit code and output."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from cogo_dagster.executors.guard.program import KILL_SECONDS, guard_command

_MARGIN_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.005
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The result of a command.

    Attributes:
        exit_code: Negative for a signal; None if the guard itself was killed.
        output: The end of its output, stdout and stderr together.
        left: The number of processes that could not be killed.
        ended_at: In the time of `time.monotonic`.
    """

    exit_code: int | None
    output: bytes
    left: int
    ended_at: float


class GuardedCommand:
    """A running command, in its own session.

    Args:
        guard: The guard's process.
        control: Closing it makes the guard end the command.
        report: The guard's standard output.
    """

    def __init__(self, guard: "subprocess.Popen[bytes]", control: IO[bytes], report: IO[bytes], grace: float) -> None:
        self._guard = guard
        self._control = control
        self._end_seconds = grace + KILL_SECONDS + _MARGIN_SECONDS
        self._reading = asyncio.create_task(_read(report))

    @classmethod
    def start(
        cls, command: Sequence[str], folder: Path, env: Mapping[str, str], *, grace_seconds: float, kept_bytes: int
    ) -> Self:
        """Start a command with exactly these environment variables.

        Args:
            grace_seconds: How long the command may take to exit after SIGTERM.
            kept_bytes: How much of the end of its output is kept.

        Raises:
            OSError: The guard cannot be started.
        """
        line = guard_command(command, worker_pid=os.getpid(), grace_seconds=grace_seconds, kept_bytes=kept_bytes)
        # No signal may end the guard before it has installed its handlers and unblocks them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            guard = subprocess.Popen(  # noqa: S603 - commands from the settings
                line,
                cwd=folder,
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert guard.stdin is not None  # noqa: S101 - requested above
        assert guard.stdout is not None  # noqa: S101
        return cls(guard, guard.stdin, guard.stdout, grace_seconds)

    async def wait(self) -> CommandEnded:
        """Wait until the command and all its descendants have ended.

        Raises:
            OSError: The command cannot be started.
        """
        lines, ended_at = await asyncio.shield(self._reading)
        started, end, output = _parse(lines)
        if "errno" in started:
            raise OSError(started["errno"], os.strerror(started["errno"]))
        if "left" not in end:
            self._kill_leader(started.get("pid"))
        return CommandEnded(end.get("exit_code"), output, end.get("left", 0), ended_at)

    async def end(self) -> None:
        """End the command and all its descendants, within a bounded time; does nothing if they have ended."""
        self._control.close()
        await asyncio.wait({self._reading}, timeout=self._end_seconds)
        deadline = time.monotonic() + _MARGIN_SECONDS
        while self._guard.poll() is None and time.monotonic() < deadline and self._reading.done():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if self._guard.poll() is None:  # it hangs
            self._guard.kill()
            self._guard.wait()
            await asyncio.wait({self._reading}, timeout=_MARGIN_SECONDS)
            if self._reading.done():
                self._kill_leader(_parse(self._reading.result()[0])[0].get("pid"))
        self._reading.cancel()
        await asyncio.wait({self._reading})

    @staticmethod
    def _kill_leader(pid: int | None) -> None:
        """Kill the command's process group if the guard did not; processes that left the group are missed."""
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


async def _read(report: IO[bytes]) -> tuple[bytes, float]:
    """Read the report to its end; return it and the time of the end."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), report
    )
    try:
        return await reader.read(), time.monotonic()
    finally:
        transport.close()


def _parse(report: bytes) -> tuple[dict[str, int], dict[str, int], bytes]:
    """Return the first line, the second line and the output; empty if the guard did not write them."""
    first, complete, rest = report.partition(b"\n")
    second, ended, output = rest.partition(b"\n")
    return _values(first if complete else b""), _values(second if ended else b""), output


def _values(line: bytes) -> dict[str, int]:
    return {name.decode(): int(value) for name, _, value in (part.partition(b"=") for part in line.split())}
