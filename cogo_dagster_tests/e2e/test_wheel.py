"""The wheel, installed without a checkout: it is complete, and its commands work in any folder."""

import json
import os
import site
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from cogo_dagster.cli.options import typed
from cogo_dagster.settings import PROJECT_ROOT, is_root
from cogo_dagster_tests.defs.test_definitions import ASSETS, JOBS
from cogo_dagster_tests.e2e.system import Home, running_dev
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.fresh.access import variables
from cogo_dagster_tests.processes import started_with
from cogo_dagster_tests.servers import swept_home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LOAD = """
import json
from cogo_dagster.definitions import defs
loaded = defs()
repository = loaded.get_repository_def()
jobs = [job.name for job in repository.get_all_jobs()]
assets = [key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()]
print(json.dumps([loaded.component_tree.code_location_name, jobs, assets]))
"""


def built(folder: Path) -> Path:
    """Build the wheel in a folder."""
    command = ["uv", "build", "-q", "--wheel", "--no-config", "--out-dir", str(folder), str(PROJECT_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with access to its dependencies, but not to the checkout; return the folder of programs."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = [
        "uv",
        "pip",
        "install",
        "-q",
        "--no-config",
        "--no-index",
        "--no-deps",
        "--python",
        str(folder),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


@dataclass(frozen=True)
class Account(Home):
    """A user account without settings, with a working folder beside the home folder."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all processes."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), "BROWSER_ALLOWED_HOSTS": self.allowed_host}
        return own | ({"NO_SANDBOX": "true"} if is_root() else {})

    @property
    def work(self) -> Path:
        """The working folder."""
        return self.folder.parent / "work"

    def processes(self) -> list[int]:
        """Return the ids of the processes of this account."""
        return started_with("HOME", str(self.folder.parent))

    def run(self, *command: str | Path, **more: str) -> str:
        """Run a command that must succeed; return its output."""
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def account(site: Site) -> Iterator[Account]:
    """Create an account, not in pytest's temporary folder, which the server cannot access when root runs the tests."""
    with swept_home(uuid4().hex[:12]) as folder:
        (folder / "work").mkdir()
        yield Account(folder / ".cogo", site.authority)


def test_the_wheel_contains_all_data_files(wheel: Path) -> None:
    """The wheel has Dagster's files, the SQL, templates and static files."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"cogo_dagster/_project/dagster.yaml", "cogo_dagster/_project/workspace.yaml"} <= names
    folders = {"sql": "cogo_dagster/_sql", "cogo_dagster": "cogo_dagster"}
    for source, target in folders.items():
        files = subprocess.run(
            ["git", "ls-files", source], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert [file for file in files if f"{target}{file.removeprefix(source)}" not in names] == []


def test_uvx_runs_the_demo(wheel: Path, account: Account) -> None:
    """The demo runs in any folder, writes nothing there, and keeps its files below the account's home."""
    # The locked versions, from the cache of the user who runs the tests.
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    ours = variables() | {"UV_CACHE_DIR": cache, "UV_CONSTRAINT": str(PROJECT_ROOT / "requirements.lock")}
    uvx = ("uv", "tool", "run", "--python", sys.executable, "--from", str(wheel), "cogo")
    jobs = json.loads(account.run(*uvx, "demo", "--json", **ours))["jobs"]
    assert [job["status"] for job in jobs] == ["succeeded"] * 3
    paths = [Path(artifact["path"]) for job in jobs for artifact in job["artifacts"]]
    assert all(path.is_relative_to(account.folder / "artifacts") and path.is_file() for path in paths)
    assert list(account.work.iterdir()) == []
    folders = json.loads(account.run(*uvx, "db", "destroy", "--json", **ours))["folders"]
    assert str(account.folder / "postgres") in {folder["path"] for folder in folders}


def test_the_definitions_load_from_the_wheel(programs: Path, account: Account) -> None:
    """The definitions load without a pyproject.toml, from any folder, with the same names as in a clone."""
    location, jobs, assets = json.loads(account.run(programs / "python", "-W", "ignore", "-c", LOAD))
    assert location == "cogo"
    assert set(jobs) == JOBS | {"__ASSET_JOB"}
    assert set(assets) == ASSETS


def test_dagster_runs_jobs_from_the_wheel(programs: Path, account: Account, site: Site) -> None:
    """`cogo dev` finds its code location and its workers from any folder."""
    with running_dev(account, programs / "cogo", account.work) as dev:
        job = account.run(programs / "cogo", "enqueue", "browser", "--url", site.url(), "--json")
        job_id = json.loads(job)["job_id"]
        dev.until(lambda: dev.job(job_id)["status"] == "succeeded", "the job succeeded", 120)
        assert dev.interrupt() == 130
    assert account.processes() == []
    assert list(account.work.iterdir()) == []


def test_the_wheels_code_is_used(programs: Path, account: Account) -> None:
    """The package is imported from the wheel, and hints do not mention `uv run`, which needs a checkout."""
    file = account.run(programs / "python", "-c", "import cogo_dagster; print(cogo_dagster.__file__)")
    assert Path(file.strip()).is_relative_to(programs.parent)
    code = "from cogo_dagster.cli.options import typed; print(typed('dev'))"
    assert account.run(programs / "python", "-c", code) == "cogo dev\n"
    assert typed("dev") == "uv run cogo dev"
