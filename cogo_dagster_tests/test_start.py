"""The installation instructions are the same everywhere; `cogo_dagster_tests.fresh` executes them."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from cogo_dagster.executors.browser import advice
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests import machine
from cogo_dagster_tests.fresh import run
from cogo_dagster_tests.fresh.__main__ import chosen_rows
from cogo_dagster_tests.fresh.access import shared_paths
from cogo_dagster_tests.fresh.readme import start
from cogo_dagster_tests.fresh.rows import all_rows, next_rows
from cogo_dagster_tests.programs import missing


def text(name: str) -> str:
    """Return the content of a file of the project."""
    return (PROJECT_ROOT / name).read_text(encoding="utf-8")


def test_the_commands_work_without_a_system_pip() -> None:
    """The tool uv is installed into the environment of `uv run`; the demo needs no development packages."""
    typed = start()
    assert typed.install == "python3 -m venv .venv && . .venv/bin/activate && pip install uv"
    assert typed.demo == "uv run --no-dev cogo demo"
    assert typed.packages.startswith("sudo apt-get install ")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_pages_install_uv_in_the_same_way(page: str) -> None:
    """None uses a pip command that current systems reject."""
    assert start().install in text(page)
    assert not re.findall(r"^pip install uv", text(page), re.MULTILINE)


def test_continuous_integration_runs_the_readmes_command() -> None:
    """CONTRIBUTING has the same command too."""
    assert text(".ci/run").strip().splitlines()[-1] == start().test
    assert f"\n{start().test} " in text("CONTRIBUTING.md")
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert workflow["jobs"]["test"]["steps"][-1]["run"] == "bash .ci/run"


def test_fonts_are_installed_by_the_documented_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's advice is explained on the page."""
    monkeypatch.setattr(advice, "as_root", lambda command: f"sudo {command}")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    advised = re.findall(r"`([^`]+)`", advice.fonts_advice())
    assert len(advised) == 2
    assert [command for command in advised if command.removeprefix("sudo ") not in text("docs/operations.md")] == []


def test_every_supported_python_is_tested_and_documented() -> None:
    """The range in pyproject.toml equals its classifiers, the README and the CI matrix."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    least, most = re.findall(r"3\.(\d+)", project["requires-python"])
    supported = [f"3.{minor}" for minor in range(int(least), int(most))]
    assert re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"])) == supported
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    for page in ("README.md", "docs/operations.md"):
        assert f"Python {supported[0]} to {supported[-1]}" in text(page)


def test_the_demo_is_tested_for_every_account_and_kind_of_machine() -> None:
    """There are eight rows, and the tests run once on each Debian."""
    rows = all_rows()
    assert len({row.name for row in rows}) == len(rows)
    assert [row.what for row in rows].count("demo") == 8
    assert [row.suite for row in rows if row.what == "tests"] == ["bookworm", "trixie"]


@pytest.mark.root("only root can start a minimal machine")
def test_the_first_process_of_a_minimal_machine_reaps_orphans(tmp_path: Path) -> None:
    """It acts as an init, since tests look for zombies."""
    last = run._script(all_rows()[0], tmp_path, tmp_path, tmp_path).splitlines()[-1]
    orphan = "(setsid sh -c 'sleep 0.1; exit' &); sleep 0.5; ps -A -o stat= | grep -c Z || true"
    script = f"su root -c {shlex.quote(orphan)}\n{last}"
    command = ["unshare", "--mount-proc", "--pid", "--fork", "bash", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "0\n"


def test_no_folder_is_shared_twice() -> None:
    """A minimal machine gets the configuration of package indexes, each file once."""
    shared = shared_paths("/home/user")
    assert Path("/etc/resolv.conf") in shared
    assert [path for path in shared if shared.keys() & set(path.parents)] == []


@pytest.mark.root("only root can change the root directory and filter system calls")
@pytest.mark.parametrize(("namespaces", "made"), [("allowed", True), ("denied", False)])
def test_only_user_namespaces_are_denied(namespaces: str, made: bool) -> None:
    """As under Docker's default profile, other processes and threads start normally."""
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
        missing(*machine.USER_NAMESPACES)
    enter = [sys.executable, "-m", "cogo_dagster_tests.fresh.enter", "/", namespaces]
    done = subprocess.run([*enter, "unshare", "--user", "true"], cwd=PROJECT_ROOT, capture_output=True, check=False)
    assert (done.returncode == 0) is made
    threads = "import threading as t; one = t.Thread(target=print, args=('ran',)); one.start(); one.join()"
    program = [*enter, sys.executable, "-c", threads]
    assert subprocess.run(program, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout == "ran\n"


@pytest.mark.parametrize("only", ["pytest", "bookworm another"])
def test_words_of_no_row_are_rejected(only: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command exits with 2 and lists the rows, instead of running none."""
    with pytest.raises(typer.Exit) as ended:
        chosen_rows(only)
    assert ended.value.exit_code == 2
    listed = capsys.readouterr().err
    assert only in listed
    assert [row.name for row in all_rows() if row.name not in listed] == []


def test_words_choose_the_rows_that_have_them_all() -> None:
    """Without words, all rows of the releases are chosen; the development release has to be named."""
    assert [row.name for row in chosen_rows("tests trixie")] == ["trixie newcomer allowed tests"]
    assert chosen_rows("") == all_rows()
    assert chosen_rows("sid") == next_rows()
