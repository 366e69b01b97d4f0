"""Running a program of the repository's: in a group of its own, with a bare environment, and never left behind."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.queue.executor import ExecutionFailed

_KILL_SECONDS: Final = 5.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `output` is the end of what it printed."""

    name: str
    exit_code: int
    seconds: float
    output: str


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return what a program of the repository's may know: no setting of ours, and so no secret."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = {"HOME": str(home), "TMPDIR": str(home), "CI": "true", "GIT_TERMINAL_PROMPT": "0"}
    return {**kept, **own, **extra}


async def run(name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], timeout_seconds: float) -> Ended:
    """Run a program to its end.

    Raises:
        ExecutionFailed: It cannot be started, or took too long.
        asyncio.CancelledError: We are cancelled; the program and its children are gone by then.
    """
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        sentence = f"{name}: {command[0]} cannot be started ({error.strerror}): install it on this worker."
        raise ExecutionFailed(sentence, error_class="command", retryable=False) from error
    reader = asyncio.create_task(_last_of(process))
    try:
        async with asyncio.timeout(timeout_seconds):
            code = await process.wait()
    except TimeoutError as error:
        sentence = f"{name} took longer than {timeout_seconds:g} s."
        raise ExecutionFailed(sentence, error_class="timeout", retryable=True) from error
    finally:
        await asyncio.shield(_end_group(process))  # a server that it left behind would keep the pipe open
        await asyncio.wait({reader}, timeout=_KILL_SECONDS)
        reader.cancel()
    output = reader.result() if reader.done() and not reader.cancelled() else ""
    return Ended(name, code, round(time.monotonic() - began, 3), output)


async def _last_of(process: asyncio.subprocess.Process) -> str:
    """Return the last megabytes a program prints; it is never kept waiting for a reader."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    kept = bytearray()
    while piece := await process.stdout.read(65_536):
        kept += piece
        if len(kept) > 2 * _MOST_BYTES:
            del kept[:-_MOST_BYTES]
    return bytes(kept[-_MOST_BYTES:]).decode(errors="replace")


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End the program's group, children that outlived it too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                await process.wait()
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
