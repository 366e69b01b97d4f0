"""The wheel, installed without a checkout: it carries all it needs, and its commands work from any folder."""

import json
import os
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from cogo_dagster.settings import PROJECT_ROOT, is_root
from cogo_dagster_tests.defs.test_definitions import ASSETS, JOBS
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
    """Build the wheel."""
    command = ["uv", "build", "-q", "--wheel", "--no-config", "--out-dir", str(folder), str(PROJECT_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel beside what it depends on; the checkout cannot be imported there."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python3*/site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    program = folder / "bin" / "cogo"
    program.write_text(f"#!{folder}/bin/python\nimport sys\nfrom cogo_dagster.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return program.parent


@pytest.fixture
def account() -> Iterator[Path]:
    """Lend a home folder, with another to work in; not pytest's own, which the server of root cannot reach."""
    with swept_home(uuid4().hex[:12]) as folder:
        (folder / "work").mkdir()
        yield folder


def cogo(programs: Path, account: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as somebody who has set nothing."""
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(account)}
    return subprocess.run(
        ["cogo", *words],
        cwd=account / "work",
        env=environment | ({"NO_SANDBOX": "true"} if is_root() else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_wheel_carries_what_is_not_code(wheel: Path) -> None:
    """Dagster's files, the SQL, templates and what the dashboard serves."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"cogo_dagster/_project/dagster.yaml", "cogo_dagster/_project/workspace.yaml"} <= names
    folders = {"sql": "cogo_dagster/_sql", "cogo_dagster": "cogo_dagster"}
    for source, target in folders.items():
        files = subprocess.run(
            ["git", "ls-files", source], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert [file for file in files if f"{target}{file.removeprefix(source)}" not in names] == []


def test_the_demo_runs_from_the_wheel(programs: Path, account: Path) -> None:
    """From any folder, in which nothing is written; all that is kept is below the account's home."""
    done = cogo(programs, account, "demo", "--json")
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    assert [job["status"] for job in jobs] == ["succeeded"] * 3
    paths = [Path(artifact["path"]) for job in jobs for artifact in job["artifacts"]]
    assert all(path.is_relative_to(account / ".cogo/artifacts") and path.is_file() for path in paths)
    assert list((account / "work").iterdir()) == []
    where = cogo(programs, account, "db", "destroy", "--json")
    assert str(account / ".cogo/postgres") in {folder["path"] for folder in json.loads(where.stdout)["folders"]}


def test_the_definitions_load_from_the_wheel(programs: Path, account: Path) -> None:
    """Without a pyproject.toml, from any folder, with the same names as in a clone."""
    command = [str(programs / "python"), "-W", "ignore", "-c", LOAD]
    done = subprocess.run(
        command, cwd=account / "work", env={"HOME": str(account)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    location, jobs, assets = json.loads(done.stdout)
    assert location == "cogo"
    assert set(jobs) == JOBS | {"__ASSET_JOB"}
    assert set(assets) == ASSETS


def test_the_code_that_runs_is_the_wheels(programs: Path, account: Path) -> None:
    """Not that of the checkout."""
    command = [str(programs / "python"), "-c", "import cogo_dagster; print(cogo_dagster.__file__)"]
    told = subprocess.run(command, cwd=account, capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()).is_relative_to(programs.parent)
