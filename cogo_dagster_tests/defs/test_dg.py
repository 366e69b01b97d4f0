"""Dagster's `dg` in a clone where nothing runs and nothing is set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cogo_dagster.settings import PROJECT_ROOT

DG = Path(sys.executable).with_name("dg")

pytestmark = pytest.mark.timeout(240)


def dg(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `dg` in the project's folder, as somebody who has set nothing."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "COLUMNS": "400"}
    environment["VIRTUAL_ENV"] = sys.prefix
    return subprocess.run(
        [DG, *words], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_definitions_pass_dgs_check(tmp_path: Path) -> None:
    """Without a database, which the check does not start."""
    done = dg(tmp_path, "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully." in done.stdout
    assert not (tmp_path / "postgres").exists()


def test_dg_lists_the_definitions_and_the_component(tmp_path: Path) -> None:
    """Under the names that they have in the UI and in YAML."""
    listed = dg(tmp_path, "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    assert '"process_jobs"' in listed.stdout
    assert '"gate_snapshot"' in listed.stdout
    components = dg(tmp_path, "list", "components", "--json")
    assert "cogo_dagster.BrowserJob" in components.stdout, components.stdout + components.stderr
    assert not (tmp_path / "postgres").exists()
