"""Gate jobs with a real repository and real programs."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.isolation import ports
from cogo_dagster.quality.gate_jobs.process import _ended_by_signal as ended_by_signal
from cogo_dagster.quality.gates import GateService
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import ExecutionFailed, Interrupted, InvalidPayload
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.stopping import STOP, StopSignal
from cogo_dagster_tests.cli.terminal import eventually
from cogo_dagster_tests.processes import lives
from cogo_dagster_tests.quality.gate_bench import PYTHON, Run, commits, gate_executor, git, repository, run

__all__ = ["commits", "repository", "run"]

RUFF = str(Path(PYTHON).with_name("ruff"))
LINT = [RUFF, "check", "--isolated", "--output-format", "json", "-o", "lint.json", "."]
TEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=junit.xml", "."]
WITHOUT_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
CUT = "printf '<a' > j.xml"
REPORTS = {"eslint": "lint.json", "junit": "junit.xml"}


@pytest.fixture(autouse=True)
def few_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands may use a hundred free ports: a rule for each of thirty thousand takes most of a short step's time."""
    monkeypatch.setattr(ports, "ephemeral", lambda: range(60_000, 60_100))


def test_a_good_commit_passes(run: Run, gates: GateService, queue: Queue, repository: Path) -> None:
    """A good commit is recorded as passed, with report artifacts, durations and the commit hash."""
    result = run(lint=LINT, test=TEST, reports=REPORTS, env=WITHOUT_PLUGINS)
    [kept] = gates.recent(None)
    assert (kept.status, kept.type, kept.branch) == ("pass", "gate", "main")
    assert kept.commit_sha == git(repository, "rev-parse", "main")
    assert (kept.lint_errors, kept.tests_total, kept.tests_failed) == (0, 1, 0)
    assert kept.test_seconds
    assert len(queue.list_artifacts(status="ready")) == 2
    assert result.result["gate_run"]["gate_run_id"] == kept.gate_run_id == kept.job_id
    assert [step["step"] for step in result.result["steps"]] == ["lint", "test"]
    assert [file.name for file in result.artifacts] == ["gate.log"]


def test_a_bad_commit_is_recorded_as_failed(run: Run, gates: GateService, repository: Path) -> None:
    """A bad commit is recorded as failed after all steps, the job succeeds, and the repository is unchanged."""
    before = git(repository, "status", "--porcelain", "--branch")
    run(payload={"branch": "broken", "pull_request": 7}, lint=LINT, test=TEST, reports=REPORTS, env=WITHOUT_PLUGINS)
    [kept] = gates.recent(None)
    assert (kept.status, kept.lint_errors, kept.tests_failed, kept.pull_request) == ("fail", 1, 1, 7)
    assert git(repository, "status", "--porcelain", "--branch") == before


def test_a_fix_runs_first_and_is_recorded_as_gate_fix(run: Run, gates: GateService) -> None:
    """A gate_fix job runs the fix first and records a gate_fix run."""
    fix = [RUFF, "check", "--isolated", "--fix", "-q", "."]
    run("gate_fix", {"branch": "broken"}, fix=fix, lint=LINT, reports={"eslint": "lint.json"})
    [kept] = gates.recent()
    assert (kept.type, kept.status, kept.lint_errors) == ("gate_fix", "pass", 0)


def test_tests_are_skipped_after_a_failed_build(run: Run, gates: GateService) -> None:
    """After a failed build the tests are skipped, and missing reports are not an error."""
    result = run(build=["sh", "-c", "exit 3"], test=TEST, reports=REPORTS)
    assert result.result["steps"][0]["exit_code"] == 3
    assert len(result.result["steps"]) == 1
    assert gates.recent(None)[0].status == "fail"


def test_programs_get_no_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs get no settings of the worker, only the allowed variables and those in `env`."""
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "very-secret-key")
    monkeypatch.setenv("COGO_DATABASE_URL", "postgresql://me:hidden@db/x")
    result = run(test=[PYTHON, "-c", "import os; print(sorted(os.environ))"], env={"NODE_ENV": "test"})
    log = result.artifacts[0].path.read_text()
    names = {"CI", "GIT_TERMINAL_PROMPT", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "NODE_ENV", "PATH", "TMPDIR", "TZ"}
    without_namespaces = {"GIT_CONFIG_NOSYSTEM"}
    seen = set(eval(log.splitlines()[1]))
    assert {"CI", "NODE_ENV", "PATH"} <= seen <= names | without_namespaces


def test_secrets_in_the_output_are_hidden(run: Run) -> None:
    """Secrets in the output are hidden in the log artifact."""
    result = run(test=["echo", "ghp_0123456789abcdefghij"])
    assert "ghp_" not in result.artifacts[0].path.read_text()


@pytest.mark.parametrize(
    ("payload", "commands", "expected"),
    [
        ({"branch": "none"}, {"test": TEST}, "has no branch none"),
        ({"branch": "main", "commit": "0" * 40}, {"test": TEST}, "has no commit 0000"),
        ({"branch": "main", "path": "../.."}, {"test": TEST}, "has no folder"),
        ({"branch": "main"}, {"test": "no-such-program --x"}, "cannot be started"),
        ({"branch": "main"}, {"test": "true", "reports": {"junit": "junit.xml"}}, "wrote no junit report"),
        ({"branch": "main"}, {"test": "sleep 60", "timeout_seconds": 0.5}, "longer than 0.5 s"),
    ],
)  # fmt: skip
def test_a_commit_that_cannot_be_evaluated_fails_the_job(
    run: Run, gates: GateService, payload: dict[str, Json], commands: dict[str, Json], expected: str
) -> None:
    """If the commit cannot be evaluated, the job fails with a message and no gate run is recorded."""
    with pytest.raises(ExecutionFailed, match=expected):
        run(payload=payload, **commands)
    assert gates.recent(None) == []


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_run_with_a_truncated_report_is_recorded(run: Run, gates: GateService, exit_code: int) -> None:
    """A gate run is recorded even if a report is truncated, with a note and the file."""
    run(test=["sh", "-c", f"{CUT}; exit {exit_code}"], reports={"junit": "j.xml"})
    [kept] = gates.recent(None)
    assert (kept.status, kept.tests_total) == ("fail" if exit_code else "pass", None)
    assert "not valid XML" in kept.notes["junit"]
    assert kept.junit_artifact_id


def test_several_reports_of_a_kind_are_read(run: Run, gates: GateService, tmp_path: Path) -> None:
    """Reports in a folder and by a pattern are read; links to files outside the clone are ignored."""
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
    ("payload", "expected"),
    [
        ({"branch": "main", "test": "rm -rf /"}, "Extra inputs"),
        ({"branch": "--upload-pack=x"}, "is not a branch name"),
        ({"branch": "a..b"}, "is not a branch name"),
        ({"branch": "HEAD@{1}"}, "is not a branch name"),
        ({}, "branch"),
        ([], "payload"),
        ({"branch": "main", "repository": "other"}, "must be one of those in COGO_GATE_COMMANDS: it"),
        ({"branch": "main", "commit": "main; id"}, "commit"),
    ],
)
def test_a_payload_cannot_name_a_command(payload: Json, expected: str) -> None:
    """A payload can only select a commit and a configured repository; anything else is rejected at enqueue."""
    executor = gate_executor('{"it": {"checkout": "/x", "test": "true"}}')
    with pytest.raises(InvalidPayload, match=expected):
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
def test_invalid_settings_prevent_the_start(wrong: str) -> None:
    """Invalid settings prevent the start, and the message has an example."""
    with pytest.raises(ExecutorUnavailable, match=r"COGO_GATE_COMMANDS.*Example: "):
        asyncio.run(gate_executor(wrong).start())


def test_without_commands_the_setting_is_reported() -> None:
    """Without commands the executor names the missing setting."""
    assert gate_executor(None).lacks == "COGO_GATE_COMMANDS"


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """The stop signal of the process, not set."""
    STOP.reset()
    yield STOP
    STOP.reset()


ENDS = ["kill -TERM $$", "exit 1"]


def test_a_shell_passes_on_a_signal_in_its_exit_code() -> None:
    """A program was ended by a signal if it, a shell around it, or its guard was; npm and make exit with 1."""
    assert [code for code in (None, -15, 143, 137, 128, 2, 1, 0) if ended_by_signal(code)] == [None, -15, 143, 137]


@pytest.mark.parametrize("end", ENDS)
def test_a_step_that_fails_after_a_stop_is_an_interruption(
    run: Run, gates: GateService, stop: StopSignal, end: str
) -> None:
    """A step that fails after a stop interrupts the job, and no gate run is recorded."""
    stop.note_stop()
    with pytest.raises(Interrupted):
        run(build=["sh", "-c", end])
    assert gates.recent(None) == []


@pytest.mark.parametrize("end", ENDS)
def test_a_step_that_fails_just_before_a_stop_is_an_interruption(
    run: Run, gates: GateService, stop: StopSignal, tmp_path: Path, end: str
) -> None:
    """A step that fails up to a second before a stop interrupts the job: it may get the signal first."""

    def stop_soon() -> None:
        eventually(lambda: any(tmp_path.glob("work-*/gate/checkout/mark")))
        threading.Timer(0.3, stop.note_stop).start()

    watch = threading.Thread(target=stop_soon)
    watch.start()
    with pytest.raises(Interrupted):
        run(build=["sh", "-c", f"touch mark; {end}"])
    watch.join()
    assert gates.recent(None) == []


@pytest.mark.parametrize("end", ["kill -TERM $$", "exit 1"])
def test_a_stop_during_the_clone_is_an_interruption(run: Run, stop: StopSignal, tmp_path: Path, end: str) -> None:
    """If Git fails during a stop, the job is interrupted and not dead-lettered."""
    (tmp_path / "git").write_text(f"#!/bin/sh\n{end}\n")
    (tmp_path / "git").chmod(0o755)
    stop.note_stop()
    with pytest.raises(Interrupted):
        run(test=["true"], fetch=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_the_log_is_written_to_an_unpredictable_path(run: Run) -> None:
    """The log is written to a path that commands cannot predict: a pipe there would block the worker."""
    result = run(test=["mkfifo", "../gate.log"])
    assert "$ test (exit code 0" in result.artifacts[0].path.read_text()


def test_a_cancelled_job_leaves_no_process(run: Run, tmp_path: Path) -> None:
    """Cancelling a job ends the program with its children and grandchildren."""
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
