"""Gate jobs: a real repository, real programs, and a gate run of what they found."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted, InvalidPayload
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.stopping import STOP, StopSignal
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.processes import lives
from cogo_dagster_tests.quality.gate_bench import PYTHON, Run, gate_executor, git, repository, run

__all__ = ["repository", "run"]

RUFF = str(Path(PYTHON).with_name("ruff"))
LINT = [RUFF, "check", "--isolated", "--output-format", "json", "-o", "lint.json", "."]
TEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=junit.xml", "."]
CUT = "open('j.xml', 'w').write('<a')"
SLOW = "import time; time.sleep(60)"
REPORTS = {"eslint": "lint.json", "junit": "junit.xml"}


def test_a_good_commit_passes(run: Run, gates: GateService, queue: Queue, repository: Path) -> None:
    """With its reports as artifacts, times, and the commit that was evaluated."""
    result = run(lint=LINT, test=TEST, reports=REPORTS)
    [kept] = gates.recent(None)
    assert (kept.status, kept.type, kept.branch) == ("pass", "gate", "main")
    assert kept.commit_sha == git(repository, "rev-parse", "main")
    assert (kept.lint_errors, kept.tests_total, kept.tests_failed) == (0, 1, 0)
    assert kept.test_seconds
    assert len(queue.list_artifacts(status="ready")) == 2
    assert result.result["gate_run"]["gate_run_id"] == kept.gate_run_id == kept.job_id
    assert [step["step"] for step in result.result["steps"]] == ["lint", "test"]
    assert [file.name for file in result.artifacts] == ["gate.log"]


def test_a_bad_commit_is_a_red_run_and_no_failed_job(run: Run, gates: GateService, repository: Path) -> None:
    """Both steps are run; the repository itself is left as it was."""
    before = git(repository, "status", "--porcelain", "--branch")
    run(payload={"branch": "broken", "pull_request": 7}, lint=LINT, test=TEST, reports=REPORTS)
    [kept] = gates.recent(None)
    assert (kept.status, kept.lint_errors, kept.tests_failed, kept.pull_request) == ("fail", 1, 1, 7)
    assert git(repository, "status", "--porcelain", "--branch") == before


def test_a_fix_is_made_first_and_recorded_as_such(run: Run, gates: GateService) -> None:
    """In the clone alone."""
    fix = [RUFF, "check", "--isolated", "--fix", "-q", "."]
    run("gate_fix", {"branch": "broken"}, fix=fix, lint=LINT, reports={"eslint": "lint.json"})
    [kept] = gates.recent()
    assert (kept.type, kept.status, kept.lint_errors) == ("gate_fix", "pass", 0)


def test_after_a_failed_build_there_is_nothing_to_test(run: Run, gates: GateService) -> None:
    """And a report that is missing then is no mistake."""
    result = run(build=[PYTHON, "-c", "raise SystemExit(3)"], test=TEST, reports=REPORTS)
    assert result.result["steps"][0]["exit_code"] == 3
    assert len(result.result["steps"]) == 1
    assert gates.recent(None)[0].status == "fail"


def test_programs_see_none_of_our_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither settings nor the rest of the environment; what the settings name is passed on."""
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "very-secret-key")
    monkeypatch.setenv("COGO_DATABASE_URL", "postgresql://me:hidden@db/x")
    result = run(test=[PYTHON, "-c", "import os; print(sorted(os.environ))"], env={"NODE_ENV": "test"})
    log = result.artifacts[0].path.read_text()
    names = {"CI", "GIT_TERMINAL_PROMPT", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "NODE_ENV", "PATH", "TMPDIR", "TZ"}
    seen = set(eval(log.splitlines()[1]))
    assert {"CI", "NODE_ENV", "PATH"} <= seen <= names


def test_secrets_in_what_is_printed_are_hidden(run: Run) -> None:
    """The log is an artifact, which others may see."""
    result = run(test=[PYTHON, "-c", "print('ghp_0123456789abcdefghij')"])
    assert "ghp_" not in result.artifacts[0].path.read_text()


@pytest.mark.parametrize(
    ("payload", "commands", "words"),
    [
        ({"branch": "none"}, {"test": TEST}, "has no branch none"),
        ({"branch": "main", "commit": "0" * 40}, {"test": TEST}, "has no commit 0000"),
        ({"branch": "main", "path": "../.."}, {"test": TEST}, "has no folder"),
        ({"branch": "main"}, {"test": "no-such-program --x"}, "cannot be started"),
        ({"branch": "main"}, {"test": [PYTHON, "-c", ""], "reports": {"junit": "junit.xml"}}, "left no junit report"),
        ({"branch": "main"}, {"test": [PYTHON, "-c", SLOW], "timeout_seconds": 0.5}, "longer than 0.5 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_fails_the_job_and_records_nothing(
    run: Run, gates: GateService, payload: dict[str, Json], commands: dict[str, Json], words: str
) -> None:
    """In one sentence."""
    with pytest.raises(ExecutionFailed, match=words):
        run(payload=payload, **commands)
    assert gates.recent(None) == []


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_report_that_cannot_be_read_keeps_no_run_from_being_recorded(
    run: Run, gates: GateService, exit_code: int
) -> None:
    """A tool that crashes leaves such reports, and what it found is red."""
    run(test=[PYTHON, "-c", f"{CUT}; raise SystemExit({exit_code})"], reports={"junit": "j.xml"})
    [kept] = gates.recent(None)
    assert (kept.status, kept.tests_total) == ("fail" if exit_code else "pass", None)
    assert "not whole XML" in kept.notes["junit"]
    assert kept.junit_artifact_id


def test_several_reports_of_a_kind_are_read(run: Run, gates: GateService, tmp_path: Path) -> None:
    """A folder and a pattern; what a link brings in from outside the clone is left out."""
    (tmp_path / "outside.xml").write_text("<testsuite><testcase name='theirs'/></testsuite>")
    write = (
        "import os, pathlib\n"
        "for name in ('out/a/TEST-1.xml', 'out/TEST-2.xml', 'more/x.xml'):\n"
        "    path = pathlib.Path(name); path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_text(\"<testsuite><testcase name='t'/></testsuite>\")\n"
        f"os.symlink({str(tmp_path / 'outside.xml')!r}, 'out/TEST-3.xml')\n"
    )
    run(test=[PYTHON, "-c", write], reports={"junit": ["out/**/TEST-*.xml", "more"]})
    assert gates.recent(None)[0].tests_total == 3


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"branch": "main", "test": "rm -rf /"}, "Extra inputs"),
        ({"branch": "--upload-pack=x"}, "cannot be a branch"),
        ({"branch": "a..b"}, "cannot be a branch"),
        ({"branch": "HEAD@{1}"}, "cannot be a branch"),
        ({}, "branch"),
        ([], "payload"),
        ({"branch": "main", "repository": "other"}, "must be one of COGO_GATE_COMMANDS: it"),
        ({"branch": "main", "commit": "main; id"}, "commit"),
    ],
)
def test_a_payload_names_no_command(payload: Json, words: str) -> None:
    """It chooses a commit and a repository of the settings; anything else is refused at enqueue."""
    executor = gate_executor('{"it": {"checkout": "/x", "test": "true"}}')
    with pytest.raises(InvalidPayload, match=words):
        executor.parse("gate", payload)


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        "[]",
        "{}",
        '{"it": {}}',
        '{"it": {"checkout": "/x", "tests": "x"}}',
        '{"it": {"checkout": "/x", "test": ""}}',
    ],
)
def test_wrong_settings_keep_the_worker_from_starting(wrong: str) -> None:
    """With an example of right ones."""
    with pytest.raises(ExecutorUnavailable, match=r"COGO_GATE_COMMANDS.*write it as"):
        asyncio.run(gate_executor(wrong).start())


def test_without_commands_other_workers_take_the_jobs() -> None:
    """The setting is named."""
    assert gate_executor(None).lacks == "COGO_GATE_COMMANDS"


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """The process's stop, as if no signal had come yet."""
    STOP.reset()
    yield STOP
    STOP.reset()


ENDS = ["os.kill(os.getpid(), 15)", "sys.exit(143)", "sys.exit(1)"]


@pytest.mark.parametrize("end", ENDS)
def test_a_step_that_ends_after_a_stop_is_no_red_run(run: Run, gates: GateService, stop: StopSignal, end: str) -> None:
    """However it took the signal: the job is interrupted, and the commit has no verdict."""
    stop.note_stop()
    with pytest.raises(Interrupted):
        run(build=[PYTHON, "-c", f"import os, sys; {end}"])
    assert gates.recent(None) == []


@pytest.mark.parametrize("end", ENDS)
def test_a_step_that_ends_just_before_a_stop_is_no_red_run(
    run: Run, gates: GateService, stop: StopSignal, tmp_path: Path, end: str
) -> None:
    """A signal to everything reaches the step first: the worker's own comes within the second."""

    def stop_soon() -> None:
        eventually(lambda: any(tmp_path.glob("work-*/gate/checkout/mark")))
        threading.Timer(0.3, stop.note_stop).start()

    watch = threading.Thread(target=stop_soon)
    watch.start()
    with pytest.raises(Interrupted):
        run(build=[PYTHON, "-c", f"import os, sys; open('mark', 'w').close(); {end}"])
    watch.join()
    assert gates.recent(None) == []


@pytest.mark.parametrize("end", ["kill -TERM $$", "exit 1"])
def test_a_stop_during_the_clone_is_no_failure(run: Run, stop: StopSignal, tmp_path: Path, end: str) -> None:
    """Git is ended by the signal as well; a failed checkout would go to the DLQ at once."""
    (tmp_path / "git").write_text(f"#!/bin/sh\n{end}\n")
    (tmp_path / "git").chmod(0o755)
    stop.note_stop()
    with pytest.raises(Interrupted):
        run(test=["true"], fetch=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_the_log_is_written_where_no_command_can_be(run: Run) -> None:
    """A command that leaves a pipe in its place would make us wait for a reader for ever."""
    result = run(test=["mkfifo", "../gate.log"])
    assert "$ test (exit code 0" in result.artifacts[0].path.read_text()


def test_a_cancelled_job_leaves_no_process(run: Run, tmp_path: Path) -> None:
    """The program, its children and grandchildren are gone when the cancellation has come through."""
    marker = tmp_path / "pid"
    child = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    stopped: list[BaseException] = []

    async def cancelled() -> None:
        from cogo_dagster.quality.gate_jobs.process import run as run_program  # noqa: PLC0415

        env = {"PATH": os.environ["PATH"]}
        task = asyncio.create_task(run_program("test", [PYTHON, "-c", parent], tmp_path, env, 300))
        await asyncio.to_thread(eventually, lambda: marker.exists() and marker.read_text())
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            stopped.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(cancelled()))
    thread.start()
    thread.join(60)
    assert len(stopped) == 1
    eventually(lambda: not lives(int(marker.read_text())))
