"""Dagster's `dg` in a clone without services and settings."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.servers import swept_home

DG = Path(sys.executable).with_name("dg")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a home folder, whose server is removed with it."""
    with swept_home(uuid4().hex[:12]) as folder:
        yield folder


def dg(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `dg` in the project's folder without settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "COGO_HOME": str(home), "COLUMNS": "400"}
    environment["VIRTUAL_ENV"] = sys.prefix
    return subprocess.run(
        [DG, *arguments], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_definitions_pass_dgs_check(home: Path) -> None:
    """The check starts the embedded server for Dagster's storage, and stops it afterwards."""
    done = dg(home, "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully." in done.stdout
    assert not EmbeddedServer(home).status().running


def test_dg_lists_the_definitions_and_the_component(home: Path) -> None:
    """`dg list` shows the definitions and the component under their names."""
    listed = dg(home, "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    assert '"process_jobs"' in listed.stdout
    assert '"gate_snapshot"' in listed.stdout
    components = dg(home, "list", "components", "--json")
    assert "cogo_dagster.BrowserJob" in components.stdout, components.stdout + components.stderr
    assert not EmbeddedServer(home).status().running
