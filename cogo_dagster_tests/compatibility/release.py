"""The code of the last release, from the history of the repository."""

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.archives import extract
from cogo_dagster_tests.programs import required

CLIENT: Final = Path(__file__).with_name("older_client.py")
_RELEASES: Final = PROJECT_ROOT / "cogo_dagster_tests" / "releases.toml"


@dataclass(frozen=True)
class Release:
    """An unpacked release.

    Attributes:
        environment: Makes Python import the release's package instead of this one.
    """

    version: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of its processes."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {"PYTHONPATH": str(self.folder)}

    def client(self, *words: str) -> list[str]:
        """Return the command that runs the steps of `older_client.py` with the release's package."""
        return [sys.executable, str(CLIENT), *words]

    def run(self, *words: str) -> str:
        """Run steps and return their output."""
        done = subprocess.run(
            self.client(*words), env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def last_release(folder: Path) -> Release:
    """Unpack the last release into a folder.

    Without the history the test is skipped; on GitHub, where the workflow fetches it, the test fails.
    """
    newest = tomllib.loads(_RELEASES.read_text())["release"][-1]
    [git] = required("git")
    archived = subprocess.run(
        [git, "archive", newest["commit"], "cogo_dagster", "sql", "pyproject.toml"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if archived.returncode:
        reason = (
            f"The commit {newest['commit']} of release {newest['version']} is missing: fetch the whole history "
            f"(`git fetch --unshallow --tags`): {archived.stderr.decode().strip()}"
        )
        if os.environ.get("GITHUB_ACTIONS"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        extract(archive, folder)
    _describe(folder)
    return Release(newest["version"], folder)


def _describe(folder: Path) -> None:
    """Give the release's package the metadata of a distribution: its entry points name its executors."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / f"cogo_dagster-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.4\nName: cogo-dagster\nVersion: {project['version']}\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [
        line for group, points in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
