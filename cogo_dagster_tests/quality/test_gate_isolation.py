"""Gate jobs, isolated: what a commit's code cannot read, write and reach, through the executor."""

import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster.executors.isolation.machine import isolation
from cogo_dagster.quality.gate_jobs import executor as executor_module
from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster_tests.quality.gate_bench import PYTHON, Run, gate_executor, git, repository, run

__all__ = ["repository", "run"]

COMMANDS = '{"it": {"checkout": "/x", "test": "true"}}'


def test_without_isolation_other_workers_take_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless COGO_GATE_UNISOLATED says that a commit's code may read the worker's secrets."""
    monkeypatch.setattr(executor_module, "is_possible", lambda: False)
    lacks = gate_executor(COMMANDS).lacks
    assert lacks is not None
    assert lacks.startswith("COGO_GATE_UNISOLATED=true (this machine has no Landlock")
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
    """Neither from the worker's environment nor from its home; without isolation it reads both."""
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


def test_a_commit_writes_into_its_own_folder_alone(run: Run, tmp_path: Path, repository: Path) -> None:
    """Not into the repository that it was cloned from, whose objects it reads."""
    script = f"touch {tmp_path}/x; touch {repository}/x; rm -rf {repository}/.git/objects; git log --oneline; exit 0"
    log = run(test=["sh", "-c", script]).artifacts[0].path.read_text()
    assert git(repository, "fsck", "--full") == ""
    assert " good" in log
    assert not (tmp_path / "x").exists()
    assert not (repository / "x").exists()


def test_a_report_is_not_read_through_a_link_in_the_place_of_the_checkout(run: Run, tmp_path: Path) -> None:
    """The worker, who reads it, may read more than the commit."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "junit.xml").write_text("<testsuite name='secret' tests='1'/>")
    script = f"cd .. && mv checkout away && ln -s {tmp_path}/secrets checkout"
    with pytest.raises(ExecutionFailed, match="left no junit report"):
        run(test=["sh", "-c", script], reports={"junit": "junit.xml"})


def test_a_commit_reaches_no_service_of_this_machine(run: Run) -> None:
    """Such as the Dagster UI, which has no login; its own servers it reaches."""
    code = (
        "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5).close(); print('connected')"
    )
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = str(service.getsockname()[1])
        closed = run(test=[PYTHON, "-c", code, port])
        opened = run(test=[PYTHON, "-c", code, port], unrestricted_network=True)
    assert "\nconnected" not in closed.artifacts[0].path.read_text()
    assert "\nconnected" in opened.artifacts[0].path.read_text()


def test_an_isolation_that_fails_runs_nothing(run: Run, gates: GateService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is tried again, perhaps elsewhere; no command runs with more rights than it should."""
    monkeypatch.setattr(executor_module, "isolation", lambda: replace(isolation(), landlock=0, namespaces=False))
    with pytest.raises(ExecutionFailed, match="isolation needs COGO_GATE_UNISOLATED") as failed:
        run(test=["true"])
    assert failed.value.error_class == "isolation"
    assert gates.recent(None) == []
