"""The wheel: built, installed without the checkout, and used by an account without settings."""

import json
import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import PROJECT_ROOT, is_root
from cogo_dagster_tests.e2e.system import Home
from cogo_dagster_tests.processes import started_with


def built(folder: Path) -> Path:
    """Build the wheel in a folder."""
    command = ["uv", "build", "-q", "--wheel", "--no-config", "--out-dir", str(folder), str(PROJECT_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """Install the wheel with access to its dependencies, but not to the checkout; return the folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    options = ["-q", "--no-config", "--no-index", "--no-deps", "--python", str(folder)]
    subprocess.run(["uv", "pip", "install", *options, str(wheel)], check=True)
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
    """Delete the account's files with this command, which lists them."""
    report = json.loads(account.run(*cogo, "db", "destroy", "--yes", "--json", **environment))
    assert report["deleted"]
    assert str(account.folder / "postgres") in {folder["path"] for folder in report["folders"]}
    assert not (account.folder / "postgres").exists()
