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
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.forks import PROGRAM
from cogo_dagster_tests.queue.steps import add, running_job, settle


@pytest.mark.parametrize("name", app.COMMANDS)
def test_a_summary_is_the_help_of_its_command(name: str) -> None:
    """The summaries in COMMANDS equal those of the modules, which `cogo --help` does not import."""
    assert app.load(name).help == app.COMMANDS[name].summary


def test_commands_import_only_what_they_need(cogo: Terminal) -> None:
    """The version, the help and a misspelt command import no command, and a list no package that takes seconds."""
    script = (
        "import json, sys; from cogo_dagster.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    code = main(line.split())\n"
        "    print(json.dumps([code, sorted(sys.modules)]))"
    )
    with cogo.start(command=[sys.executable, "-c", script, "version", "--help", "stat", "list jobs"]) as process:
        done = process.wait()
    runs = [json.loads(line) for line in done.out.splitlines() if line.startswith("[")]
    assert [code for code, _ in runs] == [0, 0, 2, 0]
    of_version, of_help, of_misspelt, of_list = (set(modules) for _, modules in runs)
    assert {"cogo_dagster.settings", "psycopg", "rich", "dagster"} & of_version == set()
    of_project = {name for name in of_help if name.startswith("cogo_dagster")}
    assert of_project - of_version == set()
    assert len(of_project) <= 10, sorted(of_project)
    assert "cogo_dagster.cli.list" not in of_misspelt
    assert "'stats'" in done.err
    assert {"dagster", "playwright", "pandas", "supabase"} & of_list == set()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["re"], ["retry", "replay", "recover", "resume"]),
        (["list", "j"], ["jobs"]),
        (["retry", "failed", "--app"], ["--apply"]),
        (["alerts", "list", "--status", "f"], ["firing"]),
        (["list", "jobs", "--status", "queued,r"], ["queued,running"]),
        (["list", "jobs", "--type", "browser."], ["browser.pdf"]),
        (["purge", "jobs", "--status", ""], ["succeeded", "failed", "cancelled"]),
        (["pause", "type", "fig"], ["figma", "figma.images", "figma.nodes"]),
        (["enqueue", "idempotent", "--type", "bro"], ["browser", "browser.pdf"]),
        (["job", "show", "0"], []),
    ],
)
def test_the_shell_completes_commands_options_and_values(
    nowhere: Terminal, words: list[str], completed: list[str]
) -> None:
    """Completion imports the command that is completed."""
    assert nowhere.completes(*words) == completed


def test_the_shell_completes_ids_of_recent_jobs(cogo: Terminal, queue: Queue) -> None:
    """By their first or their last digits, as commands accept them; the program as the shell calls it does so too."""
    job = str(add(queue))
    assert cogo.completes("job", "show", job[:9]) == [job]
    environment = cogo.environment | cogo.completing("job", "show", job[-8:-2])
    done = subprocess.run([PROGRAM], env=environment, cwd=cogo.folder, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [job[-8:]]


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
        assert set(cogo.completes(*words)) >= expected, words
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
    app.load.cache_clear()
    assert app.main(["list", "jobs"]) == ExitCode.INTERRUPTED
