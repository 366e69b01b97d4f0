"""Clones one commit for one job; the repository itself is not modified."""

import contextlib
import stat
from pathlib import Path
from typing import Final

from cogo_dagster.quality.gate_jobs.options import GatePayload, Repository, inside
from cogo_dagster.quality.gate_jobs.process import StepResult, environment, run
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted
from cogo_dagster.queue.stopping import STOP
from cogo_dagster.settings import is_root

_GIT_TIMEOUT_SECONDS = 600.0


_MAX_ALTERNATES: Final = 10


async def clone(repository: Repository, payload: GatePayload, workspace: Path) -> tuple[Path, str]:
    """Check out the commit in the workspace; return the working folder and the commit.

    The clone shares the repository's objects (`--shared`), unless the account of the commands cannot read them.

    Raises:
        ExecutionFailed: The repository, branch, commit or folder does not exist.
    """
    source, target = repository.checkout, workspace / "checkout"
    home = workspace / "home"
    home.mkdir(exist_ok=True)
    env = environment(home, {"GIT_CONFIG_NOSYSTEM": "1"} | repository.env)
    if not source.is_dir():
        raise _failed(f"The checkout {source} does not exist on this worker: correct COGO_GATE_COMMANDS.")
    if repository.fetch:
        await _git(["fetch", "--quiet", "--prune", "origin"], source, env)
    commit = await _commit(payload, source, env)
    sharing = "--no-hardlinks" if is_root() and not _objects_are_readable_by_all(source) else "--shared"
    await _git(["clone", "--quiet", sharing, "--no-checkout", "--", str(source), str(target)], workspace, env)
    await _git(["checkout", "--quiet", "--detach", commit], target, env)
    folder = inside(target, payload.path)
    if folder is None or not folder.is_dir():
        raise _failed(f"The commit {commit[:12]} has no folder {payload.path!r}: correct the payload's path.")
    return folder, commit


def shared_objects(checkout: Path) -> list[Path]:
    """Return the object folders that a clone shares with other repositories, transitively."""
    found: list[Path] = []
    waiting = [checkout / ".git" / "objects"]
    while waiting and len(found) < _MAX_ALTERNATES:
        objects = waiting.pop()
        with contextlib.suppress(OSError):
            lines = (objects / "info" / "alternates").read_text().splitlines()
            more = [objects / line for line in lines if line and not line.startswith("#")]
            found += more
            waiting += more
    return found


def _objects_are_readable_by_all(source: Path) -> bool:
    """Return whether every account may read a repository's objects; parent folders are not checked."""
    folders = [folder for name in (".git/objects", "objects") if (folder := source / name).is_dir()]
    entries = [entry for folder in folders for entry in (folder, *folder.glob("*"), *folder.glob("pack/*"))]
    return bool(entries) and all(_is_readable_by_all(entry.stat().st_mode) for entry in entries)


def _is_readable_by_all(mode: int) -> bool:
    wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & wanted == wanted


async def _commit(payload: GatePayload, source: Path, env: dict[str, str]) -> str:
    """Return the full hash of the requested commit; a fetched branch takes precedence over a local one."""
    branch = payload.branch
    wanted = [payload.commit] if payload.commit else [f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"]
    for name in wanted:
        arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        found = await _run(arguments, source, env)
        if not found.exit_code:
            return found.output.strip()
        if found.exit_code < 0:
            raise ExecutionFailed("git rev-parse was killed.", error_class="checkout", retryable=True)
    what = f"commit {payload.commit}" if payload.commit else f"branch {branch}"
    raise _failed(f"The repository has no {what} on this worker: push it there, or set fetch in COGO_GATE_COMMANDS.")


async def _git(arguments: list[str], folder: Path, env: dict[str, str]) -> None:
    done = await _run(arguments, folder, env)
    if done.exit_code:
        if await STOP.explains(done.ended_at):
            raise Interrupted(f"git {arguments[0]} ended because the worker was being stopped.")
        last = done.output.strip().splitlines()[-1:]
        raise ExecutionFailed(
            f"git {arguments[0]} failed: {' '.join(last)[:300]}",
            error_class="checkout",
            retryable=arguments[0] == "fetch",
        )


async def _run(arguments: list[str], folder: Path, env: dict[str, str]) -> StepResult:
    # A repository of another account is trusted, since the settings name it; its hooks are not run.
    safe = ["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"]
    return await run("git", ["git", *safe, *arguments], folder, env, _GIT_TIMEOUT_SECONDS)


def _failed(message: str) -> ExecutionFailed:
    return ExecutionFailed(message, error_class="checkout", retryable=False)
