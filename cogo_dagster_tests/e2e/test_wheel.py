"""The wheel, installed without a checkout: it is complete, and its commands work in any folder."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import psycopg
import pytest

from cogo_dagster.cli.options import typed
from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import PROJECT_ROOT, is_root
from cogo_dagster_tests.e2e.system import Home
from cogo_dagster_tests.executors.site import Site
from cogo_dagster_tests.fresh.access import variables
from cogo_dagster_tests.processes import started_with
from cogo_dagster_tests.servers import swept_home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PNG = b"\x89PNG\r\n\x1a\n"


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


def run_demo(account: Account, *cogo: str | Path, **environment: str) -> Json:
    """Run the demo with this command: it writes nothing in its folder, and keeps its files below the account's home."""
    document = json.loads(account.run(*cogo, "demo", "--json", **environment))
    assert document.keys() == {"jobs", "dagster_run_id", "database_url"}
    assert document["database_url"].startswith("postgresql://cogo@127.0.0.1:")
    assert [job["status"] for job in document["jobs"]] == ["succeeded"] * 3
    paths = [Path(artifact["path"]) for job in document["jobs"] for artifact in job["artifacts"]]
    assert all(path.is_relative_to(account.folder / "artifacts") and path.is_file() for path in paths)
    assert list(account.work.iterdir()) == []
    assert account.processes() == []
    assert not EmbeddedServer(account.folder).status().running
    return document


def destroy(account: Account, *cogo: str | Path, **environment: str) -> None:
    """Delete the account's files with this command."""
    folders = json.loads(account.run(*cogo, "db", "destroy", "--json", **environment))["folders"]
    assert str(account.folder / "postgres") in {folder["path"] for folder in folders}


def test_the_demo_leaves_what_it_reports(programs: Path, account: Account) -> None:
    """The files match their rows, the run is in Dagster's storage, and no process is left."""
    document = run_demo(account, programs / "cogo")
    for job in document["jobs"]:
        assert (job["attempts"], job["type"].partition(".")[0]) == (1, "browser")
        assert job["id"]
        for artifact in job["artifacts"]:
            content = Path(artifact["path"]).read_bytes()
            assert len(content) == artifact["size_bytes"]
            assert hashlib.sha256(content).hexdigest() == artifact["sha256"]
        [screenshot] = [artifact for artifact in job["artifacts"] if artifact["content_type"] == "image/png"]
        assert Path(screenshot["path"]).read_bytes().startswith(PNG)
    assert any(
        artifact["content_type"] == "application/pdf" for job in document["jobs"] for artifact in job["artifacts"]
    )

    server = EmbeddedServer(account.folder)
    with server.running(), psycopg.connect(server.dsn("dagster")) as connection:
        run_id = document["dagster_run_id"]
        [run] = connection.execute("select pipeline_name, status from runs where run_id = %s", (run_id,)).fetchall()
        assert run == ("process_jobs", "SUCCESS")
        query = "select step_key from event_logs where run_id = %s and dagster_event_type = 'STEP_SUCCESS' order by id"
        steps = [step for (step,) in connection.execute(query, (run_id,)).fetchall()]
        assert steps == ["claim_jobs", "execute_jobs", "upload_artifacts"]
    destroy(account, programs / "cogo")


@pytest.mark.slow
def test_uvx_runs_the_demo(wheel: Path, account: Account) -> None:
    """The demo runs with the dependencies that the wheel names, at the locked versions."""
    # From the cache of the user who runs the tests.
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    ours = variables() | {"UV_CACHE_DIR": cache, "UV_CONSTRAINT": str(PROJECT_ROOT / "requirements.lock")}
    uvx = ("uv", "tool", "run", "--python", sys.executable, "--from", str(wheel), "cogo")
    run_demo(account, *uvx, **ours)
    destroy(account, *uvx, **ours)


def test_the_wheels_code_is_used(programs: Path, account: Account) -> None:
    """The package is imported from the wheel, and hints do not mention `uv run`, which needs a checkout."""
    file = account.run(programs / "python", "-c", "import cogo_dagster; print(cogo_dagster.__file__)")
    assert Path(file.strip()).is_relative_to(programs.parent)
    code = "from cogo_dagster.cli.options import typed; print(typed('dev'))"
    assert account.run(programs / "python", "-c", code) == "cogo dev\n"
    assert typed("dev") == "uv run cogo dev"
