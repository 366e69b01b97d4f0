"""Fixtures: a repository with a good and a broken branch, and a function that runs a gate job on it."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.quality.gate_jobs.executor import GateExecutor, GateFixExecutor
from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.executor import ExecutorContext, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job, Json
from cogo_dagster.settings import load_settings

PYTHON = sys.executable


def git(folder: Path, *arguments: str) -> str:
    """Run git."""
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def commits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that every test gets a copy of."""
    folder = tmp_path_factory.mktemp("commits") / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", "--template=")
    (folder / "test_it.py").write_text("def test_it():\n    assert True\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "good")
    git(folder, "update-ref", "refs/remotes/origin/main", "main")  # as in a clone; broken is only a local branch
    git(folder, "checkout", "-q", "-b", "broken")
    (folder / "test_it.py").write_text("import os\n\n\ndef test_it():\n    assert False\n")
    git(folder, "commit", "-q", "-am", "broken")
    git(folder, "checkout", "-q", "main")
    return folder


@pytest.fixture
def repository(commits: Path, tmp_path: Path) -> Path:
    """A repository whose branch main is good, and whose branch broken has an unused import and a failing test."""
    return Path(shutil.copytree(commits, tmp_path / "repository"))


def gate_executor(commands: str | None, **settings: str) -> GateExecutor:
    """Build an executor with these commands and without a database."""
    given = {"COGO_GATE_COMMANDS": commands} if commands is not None else {}
    return GateExecutor.build(ExecutorContext.offline(load_settings(None, **given, **settings)))


Run = Callable[..., ExecutionResult]


@pytest.fixture
def run(repository: Path, gates: GateService, tmp_path: Path) -> Run:
    """A function that executes one job with the given commands."""

    def run(
        family: str = "gate",
        payload: Mapping[str, Json] | None = None,
        unisolated: bool = False,
        hidden: Sequence[Path] = (),
        **commands: Json,
    ) -> ExecutionResult:
        given = json.dumps({"it": {"checkout": str(repository), **commands}})
        kind = GateExecutor if family == "gate" else GateFixExecutor
        executor = kind(gates, given, unisolated=unisolated, hidden=hidden)
        read = executor.parse(family, payload or {"branch": "main"})
        job = Job(uuid4(), family, read, attempts=1, max_attempts=5, lease_token=uuid4())
        folder = tmp_path / f"work-{job.id}"
        folder.mkdir()
        return asyncio.run(executor.execute(job, Workspace(folder)))

    return run
