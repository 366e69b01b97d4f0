"""Isolation of gate jobs: what a commit's code cannot read, write and connect to."""

import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster.executors.isolation.machine import isolation
from cogo_dagster.quality.gate_jobs import executor as executor_module
from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.quality.gate_bench import PYTHON, Run, commits, gate_executor, git, repository, run

__all__ = ["commits", "repository", "run"]

COMMANDS = '{"it": {"checkout": "/x", "test": "true"}}'


def test_without_isolation_the_setting_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without isolation the executor names COGO_GATE_UNISOLATED, unless it is set."""
    monkeypatch.setattr(executor_module, "is_possible", lambda: False)
    lacks = gate_executor(COMMANDS).lacks
    assert lacks is not None
    assert lacks.startswith("COGO_GATE_UNISOLATED=true (this machine has neither Landlock")
    assert gate_executor(COMMANDS, COGO_GATE_UNISOLATED="true").lacks is None


READ_ALL = """
import glob, os, pathlib
for name in [*glob.glob("/proc/*/environ"), *{files!r}]:
    try:
        print(name, pathlib.Path(name).read_bytes())
    except OSError as error:
        print(name, error)
"""


def test_a_commit_reads_no_secret_of_the_worker(run: Run, tmp_path: Path) -> None:
    """A commit can read neither environments of processes nor COGO_HOME; without isolation it can read both."""
    home = tmp_path / "cogo"
    (home / "vault").mkdir(parents=True)
    (home / "vault" / "keys").write_text("canary-of-the-vault")
    code = READ_ALL.format(files=[str(home / "vault" / "keys")])
    here = subprocess.Popen(["sleep", "60"], env={"KEY": "canary-of-a-process"})
    try:
        closed = run(test=[PYTHON, "-c", code], read=[str(tmp_path)], hidden=[home])
        opened = run(test=[PYTHON, "-c", code], unisolated=True)
    finally:
        here.kill()
        here.wait()
    assert "canary" not in closed.artifacts[0].path.read_text()
    for canary in ("canary-of-the-vault", "canary-of-a-process"):
        assert canary in opened.artifacts[0].path.read_text()


def test_a_commit_writes_only_to_its_own_folder(run: Run, tmp_path: Path, repository: Path) -> None:
    """A commit can write only to its own folder, not to the repository whose objects it shares."""
    script = f"touch {tmp_path}/x; touch {repository}/x; rm -rf {repository}/.git/objects; git log --oneline; exit 0"
    log = run(test=["sh", "-c", script]).artifacts[0].path.read_text()
    assert git(repository, "fsck", "--full") == ""
    assert " good" in log
    assert not (tmp_path / "x").exists()
    assert not (repository / "x").exists()


def test_a_report_is_not_read_through_a_link(run: Run, tmp_path: Path) -> None:
    """A report is not read through a link that replaces the checkout: the worker can read more than the commit."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "junit.xml").write_text("<testsuite name='secret' tests='1'/>")
    script = f"cd .. && mv checkout away && ln -s {tmp_path}/secrets checkout"
    with pytest.raises(ExecutionFailed, match="wrote no junit report"):
        run(test=["sh", "-c", script], reports={"junit": "junit.xml"})


def test_a_commit_reaches_no_service_of_this_machine(run: Run) -> None:
    """A commit cannot connect to services of the machine, such as the Dagster UI, which has no login."""
    code = (
        "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5).close(); print('connected')"
    )
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = str(service.getsockname()[1])
        closed = run(test=[PYTHON, "-c", code, port])
        opened = run(test=[PYTHON, "-c", code, port], unrestricted_network=True)
    assert "\nconnected" not in closed.artifacts[0].path.read_text()
    assert "\nconnected" in opened.artifacts[0].path.read_text()


def test_nothing_is_run_without_isolation(run: Run, gates: GateService, monkeypatch: pytest.MonkeyPatch) -> None:
    """If commands cannot be isolated, none is run, and the job fails."""
    monkeypatch.setattr(executor_module, "isolation", lambda: replace(isolation(), landlock=0, namespaces=False))
    with pytest.raises(ExecutionFailed, match="cannot be isolated without COGO_GATE_UNISOLATED") as failed:
        run(test=["true"])
    assert failed.value.error_class == "isolation"
    assert gates.recent(None) == []
