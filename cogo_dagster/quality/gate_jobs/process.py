"""Runs a program of the repository under a guard, with a minimal environment."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.executors.guard import CommandEnded, GuardedCommand
from cogo_dagster.executors.isolation.confinement import Confinement, IsolationFailed
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted
from cogo_dagster.queue.stopping import STOP

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 4.0
_SHELL_SIGNALS: Final = 128
_MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a program.

    Attributes:
        output: The end of its output.
        ended_at: In the time of `time.monotonic`.
    """

    name: str
    exit_code: int
    seconds: float
    output: str
    ended_at: float


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: it contains no setting of the worker, and so no secret."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = {"HOME": str(home), "TMPDIR": str(home), "CI": "true", "GIT_TERMINAL_PROMPT": "0"}
    return {**kept, **own, **extra}


async def run(
    name: str,
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    timeout_seconds: float,
    *,
    confinement: Confinement | None = None,
) -> StepResult:
    """Run a program until it and all its descendants have ended.

    Args:
        confinement: Its isolation; None runs it with the worker's rights.

    Raises:
        ExecutionFailed: The program cannot be started or isolated, or timed out.
        Interrupted: A signal ended the program, and the worker is being stopped.
        asyncio.CancelledError: This task was cancelled; the program and its descendants have ended.
    """
    began = time.monotonic()
    confined = await asyncio.to_thread(confinement.confine, command) if confinement else None
    arguments, variables = (confined.command, {**env, **confined.variables}) if confined else (command, env)
    try:
        ended = await _run(name, arguments, folder, variables, timeout_seconds)
        if confined:
            confined.check(ended.exit_code)
    except OSError as error:
        raise _not_started(name, command, error) from error
    except IsolationFailed as error:
        message = f"{name} could not be isolated ({error}); run `cogo doctor` on this machine."
        raise ExecutionFailed(message, error_class="isolation", retryable=True) from error
    if ended.left:
        logger.warning("%s: %s processes could not be killed.", name, ended.left)
    if _ended_by_signal(ended.exit_code) and await STOP.explains(ended.ended_at):
        raise Interrupted(f"{name} ended because the worker was being stopped.")
    if ended.exit_code is None:
        message = f"{name} has no exit code: its guard process was killed."
        raise ExecutionFailed(message, error_class="guard_gone", retryable=True)
    output = ended.output.decode(errors="replace")
    return StepResult(name, ended.exit_code, round(ended.ended_at - began, 3), output, ended.ended_at)


async def _run(
    name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str], timeout_seconds: float
) -> CommandEnded:
    guarded = GuardedCommand.start(arguments, folder, env, grace_seconds=_GRACE_SECONDS, kept_bytes=_MAX_OUTPUT_BYTES)
    try:
        async with asyncio.timeout(timeout_seconds):
            ended = await guarded.wait()
    except TimeoutError as error:
        message = f"{name} took longer than {timeout_seconds:g} s."
        raise ExecutionFailed(message, error_class="timeout", retryable=True) from error
    finally:
        await asyncio.shield(guarded.end())
    return ended


def _not_started(name: str, command: Sequence[str], error: OSError) -> ExecutionFailed:
    message = (
        f"{name}: {command[0]} cannot be started ({error.strerror}): install it on this worker, "
        "or add its folder to read in COGO_GATE_COMMANDS."
    )
    return ExecutionFailed(message, error_class="command", retryable=False)


def _ended_by_signal(exit_code: int | None) -> bool:
    """Return whether a signal ended the program or its child: shells exit with 128 plus the signal number."""
    return exit_code is None or exit_code < 0 or exit_code > _SHELL_SIGNALS
