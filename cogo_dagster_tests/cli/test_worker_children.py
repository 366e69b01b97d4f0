"""What a real worker leaves of its children and folders when it is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cogo_dagster.queue.workspace import sweep_workspaces
from cogo_dagster_tests.cli.terminal import Terminal, eventually
from cogo_dagster_tests.executors.test_guard import DETACHED, pids_in
from cogo_dagster_tests.processes import command_line, descendants, lives

pytestmark = pytest.mark.linux("elsewhere the guard ends the process group alone")


@pytest.fixture
def way() -> str:
    """Over one transport: the other changes nothing here."""
    return "postgres"


@pytest.fixture
def note(cogo: Terminal, tmp_path: Path) -> Path:
    """A queued gate job whose build daemonises a process; the file gets that one's pid."""
    repository, note = tmp_path / "repository", tmp_path / "pids"
    repository.mkdir()
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *who, *words], cwd=repository, check=True)
    build = [sys.executable, "-c", DETACHED, str(note), "time.sleep(300)"]
    (tmp_path / "temporary").mkdir()
    cogo.environment |= {
        "COGO_GATE_COMMANDS": json.dumps({"it": {"checkout": str(repository), "build": build}}),
        "COGO_GATE_UNISOLATED": "true",  # it writes the note, and its pids are those that are seen here
        "BROWSER_REAL_MODE": "false",
        "TMPDIR": str(tmp_path / "temporary"),
    }
    cogo.ok("enqueue", "idempotent", "--type", "gate", "--payload", '{"branch": "main"}')
    return note


def test_a_killed_worker_leaves_no_build_and_its_folder_is_removed(
    cogo: Terminal, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9: guard, build and daemon end within seconds, and a later sweep finds the dead worker's workspace."""
    with cogo.start("worker") as worker:
        worker.until(lambda: pids_in(note))
        everything = descendants(worker.popen.pid)
        assert set(pids_in(note)) < everything
        monkeypatch.setattr(tempfile, "tempdir", cogo.environment["TMPDIR"])
        assert sweep_workspaces() == 0
        worker.send(signal.SIGKILL)
        worker.wait()
    eventually(lambda: not any(map(lives, everything)), 5)
    assert [command_line(pid) for pid in everything if lives(pid)] == []
    sweep_workspaces()
    assert list(Path(cogo.environment["TMPDIR"]).glob("cogo-job-*")) == []


def test_a_signal_to_the_workers_group_reaches_no_build(cogo: Terminal, note: Path) -> None:
    """It runs on for the grace, and ends with the worker."""
    with cogo.start("worker", COGO_GRACE_SECONDS="1") as worker:
        worker.until(lambda: pids_in(note))
        everything = descendants(worker.popen.pid)
        groups = {os.getpgid(pid) for pid in everything if lives(pid)}
        worker.send_to_group(signal.SIGTERM)
        answer = worker.wait()
    assert worker.popen.pid not in groups
    assert (answer.code, "1 requeued" in answer.out) == (0, True), answer
    assert not any(map(lives, everything))
    assert list(Path(cogo.environment["TMPDIR"]).glob("cogo-job-*")) == []
