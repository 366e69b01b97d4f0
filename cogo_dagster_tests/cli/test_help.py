"""The help, the completion, and the end by Ctrl-C: what comes before any command."""

import json
import os
import signal
import subprocess
import sys

import pytest

from cogo_dagster.cli import app
from cogo_dagster.cli.command import ExitCode
from cogo_dagster_tests.cli.terminal import PROGRAM, Terminal


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_help_says_of_a_command_what_its_docstring_says(name: str) -> None:
    """The summaries in the table are those of the modules, which the help does not import."""
    assert app.load(name).help == app.COMMANDS[name].summary


def test_the_help_imports_no_module_of_the_project_that_the_version_does_not(nowhere: Terminal) -> None:
    """`cogo --help` is answered from the table alone."""
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


def test_a_misspelt_command_imports_no_command_and_is_corrected(nowhere: Terminal) -> None:
    """Suggestions come from the table too."""
    script = (
        "import sys; from cogo_dagster.cli import main; code = main(['stat'])\n"
        "print(code, 'cogo_dagster.cli.list' in sys.modules)"
    )
    with nowhere.start(command=[sys.executable, "-c", script]) as process:
        done = process.wait()
    assert done.out.splitlines()[-1] == "2 False"
    assert "'stats'" in done.err


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["cogo", "re"], ["retry", "replay", "recover", "resume"]),
        (["cogo", "list", "j"], ["jobs"]),
        (["cogo", "retry", "failed", "--app"], ["--apply"]),
        (["cogo", "alerts", "list", "--status", "f"], ["firing"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(
    nowhere: Terminal, words: list[str], completed: list[str]
) -> None:
    """Completion sees through the table: it imports the command that is being completed."""
    asked = {"_COGO_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [PROGRAM], env=nowhere.environment | asked, cwd=nowhere.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == completed


def test_ctrl_c_ends_a_command_with_130_and_without_a_traceback(nowhere: Terminal) -> None:
    """As the shell reports a program that SIGINT ended."""
    pipe = nowhere.folder / "payload.json"
    os.mkfifo(pipe)
    # The command has opened the pipe once `open` returns, and waits for what never comes.
    with nowhere.start("enqueue", "browser", "--payload", f"@{pipe}") as process, pipe.open("w"):
        process.send(signal.SIGINT)
        done = process.wait()
    assert (done.code, done.out, done.err) == (ExitCode.INTERRUPTED, "", "")


def test_ctrl_c_while_a_module_is_imported_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half second of a command is imports."""

    def interrupted(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.setattr(app, "import_module", interrupted)
    assert app.main(["list", "jobs"]) == ExitCode.INTERRUPTED
