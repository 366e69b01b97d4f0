"""The wheel with the dependencies that it names."""

import subprocess
import sys
from pathlib import Path

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.e2e.wheel import Account, destroy, run_demo
from cogo_dagster_tests.fresh.access import variables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.mark.slow
def test_uvx_runs_the_demo(wheel: Path, account: Account) -> None:
    """The demo runs with the dependencies that the wheel names, at the locked versions."""
    # From the cache of the user who runs the tests.
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    ours = variables() | {"UV_CACHE_DIR": cache, "UV_CONSTRAINT": str(PROJECT_ROOT / "requirements.lock")}
    uvx = ("uv", "tool", "run", "--python", sys.executable, "--from", str(wheel), "cogo")
    run_demo(account, *uvx, **ours)
    destroy(account, *uvx, **ours)
