"""The reports of every tool in docs/operations.md give the numbers that the tool prints."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cogo_dagster.quality.reports import read_report
from cogo_dagster.queue.embedded.locks import locked
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.apt import apt_install
from cogo_dagster_tests.npm import npm_packages, npm_program
from cogo_dagster_tests.programs import find, missing
from cogo_dagster_tests.quality.tools import javascript, native
from cogo_dagster_tests.quality.tools.tool import Tool

TOOLS: Final = [*javascript.TOOLS, *native.TOOLS]

TRIED_ELSEWHERE: Final = {"ESLint", "ruff", "coverage.py"}
"""Tested in `test_reports.py`, in all formats."""

NOT_RUN: Final = {"other linters", "JaCoCo", "Maven, Gradle", "SimpleCov"}
"""Not available from PyPI, npm or Debian without further downloads; tested only with recorded files."""

PYTHON_TOOLS: Final = ("behave==1.3.3", "pylint==4.0.4", "flake8==7.3.0", "pytest", "mypy")


def test_every_tool_in_the_table_is_run_or_listed() -> None:
    """Every tool in the table is run here or listed as not run."""
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `--(?:eslint|coverage|junit)` \|$", text, re.MULTILINE)
    run = {tool.name for tool in TOOLS} | TRIED_ELSEWHERE | NOT_RUN
    assert [row for row in rows if row not in run and not set(row.split(", ")) <= run] == []
    assert len(rows) > 20


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.id)
def test_a_report_has_the_numbers_that_the_tool_prints(tool: Tool, tmp_path: Path) -> None:
    """The report of the documented command gives the counts of the tool's output or of its input."""
    output = tool.run(tmp_path, _search_path(tool, tmp_path))
    report = tmp_path / tool.report
    assert report.exists(), output[-3000:]
    facts = read_report(tool.kind, report).facts
    expected = tool.expected(output)
    assert expected, output[-3000:]
    assert {name: facts.get(name) for name in expected} == pytest.approx(expected, nan_ok=False), output[-3000:]


def _search_path(tool: Tool, folder: Path) -> str:
    """Return a PATH with the programs that the tool needs; install them if possible."""
    for program, packages in tool.programs.items():
        if not _is_there(program):
            apt_install(*packages.split())
        if not _is_there(program):
            missing(program, f"`sudo apt-get install {packages}`")
    paths = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    if tool in native.TOOLS and not tool.programs:
        paths.insert(0, str(_python_tools()))
    if tool in javascript.TOOLS:
        paths.insert(0, str(Path(npm_program()).parent))
        node = shutil.which("node")
        assert node is not None
        paths.insert(0, str(Path(node).parent))
    if tool.packages:
        name = f"tools-{hashlib.sha256(' '.join(tool.packages).encode()).hexdigest()[:12]}"
        modules = npm_packages(name, tool.packages)
        (folder / "node_modules").symlink_to(modules)
        paths.insert(0, str(modules / ".bin"))
    return ":".join(paths)


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else find(program) is not None


def _python_tools() -> Path:
    """Return the bin folder of a virtual environment with the PyPI tools, created once."""
    home = PROJECT_ROOT / ".cogo" / "tools" / hashlib.sha256(" ".join(PYTHON_TOOLS).encode()).hexdigest()[:12]
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home.parent / "install.lock"):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _run("uv", "venv", "-q", "--no-project", "--python", sys.executable, str(home))
            _run("uv", "pip", "install", "-q", "--python", str(home / "bin" / "python"), *PYTHON_TOOLS)
            (home / "complete").touch()
    return home / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
