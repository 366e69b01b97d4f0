"""How one starts is said in several places, and they say the same; `cogo_dagster_tests.fresh` types it."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.executors.browser import advice
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests import machine
from cogo_dagster_tests.fresh import run
from cogo_dagster_tests.fresh.access import shared_paths
from cogo_dagster_tests.fresh.readme import start
from cogo_dagster_tests.fresh.rows import all_rows
from cogo_dagster_tests.programs import missing


def text(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT_ROOT / name).read_text(encoding="utf-8")


def test_the_commands_work_where_pip_may_not_install() -> None:
    """Uv comes into the project's own environment, which `uv run` takes; the demo needs nothing for development."""
    typed = start()
    assert typed.install == "python3 -m venv .venv && . .venv/bin/activate && pip install uv"
    assert typed.demo == "uv run --no-dev cogo demo"
    assert typed.packages.startswith("sudo apt-get install ")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_pages_install_uv_in_the_same_way(page: str) -> None:
    """Nowhere by a pip that current systems refuse."""
    assert start().install in text(page)
    assert not re.findall(r"^pip install uv", text(page), re.MULTILINE)


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    """The same as a person, and so does CONTRIBUTING."""
    assert text(".ci/run").strip().splitlines()[-1] == start().test
    assert f"\n{start().test} " in text("CONTRIBUTING.md")
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert workflow["jobs"]["test"]["steps"][-1]["run"] == "bash .ci/run"


def test_fonts_are_installed_by_the_commands_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker advises, the page explains."""
    monkeypatch.setattr(advice, "as_root", lambda command: f"sudo {command}")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    advised = re.findall(r"`([^`]+)`", advice.fonts_advice())
    assert len(advised) == 2
    assert [command for command in advised if command.removeprefix("sudo ") not in text("docs/operations.md")] == []


def test_every_supported_python_is_tested_and_named() -> None:
    """The range of pyproject.toml, in its classifiers, in the README and in the matrix."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    least, most = re.findall(r"3\.(\d+)", project["requires-python"])
    supported = [f"3.{minor}" for minor in range(int(least), int(most))]
    assert re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"])) == supported
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    for page in ("README.md", "docs/operations.md"):
        assert f"Python {supported[0]} to {supported[-1]}" in text(page)


def test_the_demo_is_tried_for_every_account_and_kind_of_machine() -> None:
    """Eight times, and the tests once on each Debian."""
    rows = all_rows()
    assert len({row.name for row in rows}) == len(rows)
    assert [row.what for row in rows].count("demo") == 8
    assert [row.suite for row in rows if row.what == "tests"] == ["bookworm", "trixie"]


@pytest.mark.root("only root starts a bare machine")
def test_the_first_process_of_a_bare_machine_waits_for_orphans(tmp_path: Path) -> None:
    """As an init does: tests look for zombies."""
    last = run._script(all_rows()[0], tmp_path, tmp_path, tmp_path).splitlines()[-1]
    orphan = "(setsid sh -c 'sleep 0.1; exit' &); sleep 0.5; ps -A -o stat= | grep -c Z || true"
    script = f"su root -c {shlex.quote(orphan)}\n{last}"
    command = ["unshare", "--mount-proc", "--pid", "--fork", "bash", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "0\n"


def test_no_folder_is_shared_twice() -> None:
    """A bare machine gets what names package indexes here, each file once."""
    shared = shared_paths("/home/somebody")
    assert Path("/etc/resolv.conf") in shared
    assert [path for path in shared if shared.keys() & set(path.parents)] == []


@pytest.mark.root("only root changes the root directory and filters calls")
@pytest.mark.parametrize(("namespaces", "made"), [("allowed", True), ("refused", False)])
def test_user_namespaces_are_refused_and_nothing_else(namespaces: str, made: bool) -> None:
    """As by Docker's default profile: other processes and threads start as before."""
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
        missing(*machine.USER_NAMESPACES)
    enter = [sys.executable, "-m", "cogo_dagster_tests.fresh.enter", "/", namespaces]
    done = subprocess.run([*enter, "unshare", "--user", "true"], cwd=PROJECT_ROOT, capture_output=True, check=False)
    assert (done.returncode == 0) is made
    threads = "import threading as t; one = t.Thread(target=print, args=('ran',)); one.start(); one.join()"
    program = [*enter, sys.executable, "-c", threads]
    assert subprocess.run(program, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout == "ran\n"
