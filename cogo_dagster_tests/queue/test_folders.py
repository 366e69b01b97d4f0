"""Folders of dead processes are removed, and no others."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cogo_dagster.queue.folders import LockedFolder, remove_tree, sweep_folders
from cogo_dagster.queue.workspace import Workspace, sweep_workspaces

MAKE_AND_WAIT = """
import sys
from cogo_dagster.queue.workspace import Workspace
workspaces = [Workspace() for _ in range(3)]
print(*(workspace.folder for workspace in workspaces), flush=True)
sys.stdin.read()
"""

COUNT_OPEN_FILES = """
import os
from cogo_dagster.queue.workspace import Workspace
Workspace().remove()
before = len(os.listdir("/dev/fd"))
for _ in range(50):
    workspace = Workspace()
    assert workspace.folder.is_dir()
    workspace.remove()
print(before, len(os.listdir("/dev/fd")))
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a private temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_workspaces_of_a_killed_worker_are_removed_and_those_of_a_live_one_kept(temporary: Path) -> None:
    """The lock ends with its process, however that ends."""
    mine = Workspace()
    (mine.folder / "kept").touch()
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", MAKE_AND_WAIT], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        folders = [Path(word) for word in other.stdout.readline().split()]
        assert sweep_workspaces() == 0
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert all(folder.parent == temporary and folder.name.startswith("cogo-job-") for folder in folders)
    assert sweep_workspaces() == 3
    assert list(temporary.iterdir()) == [mine.folder]
    assert (mine.folder / "kept").exists()
    mine.remove()
    assert list(temporary.iterdir()) == []


def test_a_folder_of_an_earlier_release_is_removed_after_a_day(temporary: Path) -> None:
    """Its worker holds no lock and may be alive, for example during a rolling update."""
    young, old = Path(tempfile.mkdtemp(prefix="cogo-job-")), Path(tempfile.mkdtemp(prefix="cogo-job-"))
    two_days_ago = time.time() - 172_800
    os.utime(old, (two_days_ago, two_days_ago))
    assert sweep_workspaces() == 1
    assert list(temporary.iterdir()) == [young]


def test_a_workspace_is_private_and_empty(temporary: Path) -> None:
    """Other accounts have no access, and the folder is empty for the executor."""
    workspace = Workspace()
    assert stat.S_IMODE(workspace.folder.stat().st_mode) == 0o700
    assert list(workspace.folder.iterdir()) == []
    workspace.remove()


def test_workspaces_leak_no_file_descriptor(temporary: Path) -> None:
    """Counted in a separate process, since the test process opens and closes files at any time."""
    counted = subprocess.run([sys.executable, "-c", COUNT_OPEN_FILES], check=True, capture_output=True, text=True)
    before, after = counted.stdout.split()
    assert after == before


def test_links_are_not_followed(tmp_path: Path) -> None:
    """This holds for a link in place of a folder and for links inside a folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    base = tmp_path / "tmp"
    (base / "x-0123456789ab").mkdir(parents=True)
    (base / "x-0123456789ab/link").symlink_to(outside)
    (base / "x-link").symlink_to(outside)
    (base / "x-file").touch()
    assert sweep_folders("x-", base) == 1
    assert sorted(path.name for path in base.iterdir()) == ["x-file", "x-link"]
    assert remove_tree(base / "x-link")
    assert (outside / "precious").exists()


def test_read_only_folders_are_removed() -> None:
    """Such folders are made by Go's module cache; some are unreadable too. The permissions do not apply to root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        if os.geteuid() != 0:
            assert _removes_read_only(Path(base))
            return
        os.chown(base, 65_534, 65_534)
        child = os.fork()
        if child == 0:
            os.setuid(65_534)
            os._exit(0 if _removes_read_only(Path(base)) else 1)
        assert os.waitpid(child, 0)[1] == 0


def _removes_read_only(base: Path) -> bool:
    folder = base / "x-0123456789ab"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").touch()
    (folder / "a/b/file").chmod(0o400)
    for path in (folder / "a/b", folder / "a", folder):
        path.chmod(0o000)
    return sweep_folders("x-", base) == 1 and not folder.exists()


def test_a_tree_deeper_than_the_maximum_path_is_removed(tmp_path: Path) -> None:
    """With 3,000 levels, neither the recursion limit nor the maximum path length stops the removal."""
    folder = tmp_path / "deep"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(3_000):
            Path("a-long-name").mkdir()
            os.chdir("a-long-name")
        Path("file").touch()
    finally:
        os.chdir(before)
    assert remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_a_sweep_is_limited(tmp_path: Path) -> None:
    """The remaining folders are left to the next sweep."""
    for number in range(3):
        (tmp_path / f"x-{number:012x}").mkdir()
    assert sweep_folders("x-", tmp_path, budget_seconds=-1) == 0
    assert sweep_folders("x-", tmp_path) == 3


def test_a_folder_that_is_being_created_is_kept(tmp_path: Path) -> None:
    """It is not locked yet; after a day its creator counts as dead."""
    folder = tmp_path / "x-.new-abc"
    folder.mkdir()
    assert sweep_folders("x-", tmp_path) == 0
    a_day_ago = time.time() - 86_500
    os.utime(folder, (a_day_ago, a_day_ago))
    assert sweep_folders("x-", tmp_path) == 1


def test_a_folder_can_have_two_users(tmp_path: Path) -> None:
    """A browser's folder is used by its worker and by its guard."""
    folder = LockedFolder.make("x-", tmp_path)
    with pytest.raises(FileNotFoundError):
        LockedFolder.make("x-", tmp_path / "missing")
    assert sweep_folders("x-", tmp_path) == 0
    folder.remove()
    assert list(tmp_path.iterdir()) == []
