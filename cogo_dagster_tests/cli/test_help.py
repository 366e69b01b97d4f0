"""Help, completion and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys

import pytest

from cogo_dagster.cli import app
from cogo_dagster.cli.command import ExitCode
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import JobError, Outcome
from cogo_dagster_tests.cli.terminal import PROGRAM, Terminal
from cogo_dagster_tests.queue.steps import add, running_job, settle


@pytest.mark.parametrize("name", app.COMMANDS)
def test_a_summary_is_the_help_of_its_command(name: str) -> None:
    """The summaries in COMMANDS equal those of the modules, which `cogo --help` does not import."""
    assert app.load(name).help == app.COMMANDS[name].summary


def test_the_help_imports_no_more_modules_than_the_version(nowhere: Terminal) -> None:
    """`cogo --help` is printed from COMMANDS without importing a command."""
    script = (
        "import json, sys; from cogo_dagster.cli import main; main(sys.argv[1:])\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('cogo_dagster')]))"
    )
    imported = []
    for word in ("version", "--help"):
        with nowhere.start(command=[sys.executable, "-c", script, word]) as done:
            imported.append(set(json.loads(done.wait().out.splitlines()[-1])))
    of_version, of_help = imported
    assert of_help - of_version == set()
    assert len(of_help) <= 10, sorted(of_help)


def test_a_misspelt_command_imports_no_command(nowhere: Terminal) -> None:
    """Suggestions are made from COMMANDS too."""
    script = (
        "import sys; from cogo_dagster.cli import main; code = main(['stat'])\n"
        "print(code, 'cogo_dagster.cli.list' in sys.modules)"
    )
    with nowhere.start(command=[sys.executable, "-c", script]) as process:
        done = process.wait()
    assert done.out.splitlines()[-1] == "2 False"
    assert "'stats'" in done.err


@pytest.mark.parametrize(
    ("arguments", "completed"),
    [
        (["cogo", "re"], ["retry", "replay", "recover", "resume"]),
        (["cogo", "list", "j"], ["jobs"]),
        (["cogo", "retry", "failed", "--app"], ["--apply"]),
        (["cogo", "alerts", "list", "--status", "f"], ["firing"]),
        (["cogo", "list", "jobs", "--status", "queued,r"], ["queued,running"]),
        (["cogo", "list", "jobs", "--type", "browser."], ["browser.pdf"]),
        (["cogo", "purge", "jobs", "--status", ""], ["succeeded", "failed", "cancelled"]),
        (["cogo", "pause", "type", "fig"], ["figma", "figma.images", "figma.nodes"]),
        (["cogo", "enqueue", "idempotent", "--type", "bro"], ["browser", "browser.pdf"]),
        (["cogo", "job", "show", "0"], []),
    ],
)
def test_the_shell_completes_commands_options_and_values(
    nowhere: Terminal, arguments: list[str], completed: list[str]
) -> None:
    """Completion imports the command that is completed."""
    completion = {
        "_COGO_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(arguments),
        "COMP_CWORD": str(len(arguments) - 1),
    }
    done = subprocess.run(
        [PROGRAM], env=nowhere.environment | completion, cwd=nowhere.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == completed


def test_the_shell_completes_ids_of_recent_jobs(cogo: Terminal, queue: Queue) -> None:
    """By their first or their last digits, as commands accept them."""
    job = str(add(queue))
    for typed in (job[-8:-2], job[:9]):
        completion = {"_COGO_COMPLETE": "complete_bash", "COMP_WORDS": f"cogo job show {typed}", "COMP_CWORD": "3"}
        environment = cogo.environment | completion
        done = subprocess.run([PROGRAM], env=environment, cwd=cogo.folder, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [job[-8:] if job.endswith(typed + job[-2:]) else job]


def test_the_shell_completes_what_else_commands_take(cogo: Terminal, queue: Queue) -> None:
    """Executor IDs, causes, discards and bulk actions of the database; a qualifier is completed with its values."""
    add(queue, executor_id="exec-42")
    job = running_job(queue)
    settle(queue, job, Outcome.FAILED, error=JobError("not_there", "It is gone.", retryable=False))
    [cause] = queue.list_incidents()
    cogo.ok("discard", "dlq", "--reason", "gone", "--no-dry-run")
    [discard] = [one for one in queue.list_operations() if one.operation == "discard_dlq"]
    cogo.ok("retry", "failed", "--where", f"id:{job.id}", "--no-dry-run")
    for words, expected in {
        ("list", "jobs", "--executor", "exec"): {"exec-42"},
        ("undo", "discard", str(discard.id)[-8:-2]): {str(discard.id)[-8:]},
        ("action", "show", ""): {str(one.id)[-8:] for one in queue.list_actions()},
        ("list", "jobs", "--where", "err"): {"error:", "error:not_there"},
    }.items():
        typed = {"COMP_WORDS": " ".join(("cogo", *words)), "COMP_CWORD": str(len(words))}
        environment = cogo.environment | {"_COGO_COMPLETE": "complete_bash"} | typed
        done = subprocess.run([PROGRAM], env=environment, cwd=cogo.folder, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) >= expected, (words, done)
    assert cause.fingerprint is not None


@pytest.mark.parametrize("arguments", [("-h",), ("list", "-h"), ("list", "jobs", "-h"), ("worker", "-h")])
def test_every_command_has_a_short_help_option(nowhere: Terminal, arguments: tuple[str, ...]) -> None:
    """`-h` is `--help`."""
    short, long = nowhere.run(*arguments), nowhere.run(*arguments[:-1], "--help")
    assert (short.code, short.out) == (0, long.out)


def test_version_is_an_option_too(nowhere: Terminal) -> None:
    """`cogo --version` prints what `cogo version` prints."""
    assert nowhere.run("--version").out == nowhere.run("version").out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["list", "alerts"], "alerts list"), (["set", "vault"], None), (["list", "tokens"], "tokens list")],
)
def test_words_in_the_wrong_order_are_corrected(nowhere: Terminal, typed: list[str], meant: str | None) -> None:
    """`cogo list alerts` names `cogo alerts list`."""
    done = nowhere.run(*typed)
    assert done.code == 2
    assert (f"The command is `cogo {meant}`." in done.err) is (meant is not None)


def test_ctrl_c_ends_a_command_with_130_and_without_a_traceback(nowhere: Terminal) -> None:
    """The exit code is that of a program ended by SIGINT."""
    pipe = nowhere.folder / "payload.json"
    os.mkfifo(pipe)
    # `open` returns once the command has opened the pipe, from which it then waits to read.
    with nowhere.start("enqueue", "browser", "--payload", f"@{pipe}") as process, pipe.open("w"):
        process.send(signal.SIGINT)
        done = process.wait()
    assert (done.code, done.out, done.err) == (ExitCode.INTERRUPTED, "", "")


def test_ctrl_c_while_a_module_is_imported_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is handled during imports, which take the first half second of a command."""

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.setattr(app, "import_module", interrupted)
    assert app.main(["list", "jobs"]) == ExitCode.INTERRUPTED
