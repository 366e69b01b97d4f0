"""`cogo db destroy`: list all data of an installation, and delete it after confirmation."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.embedded import EmbeddedServer, binaries
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.servers import swept_home


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """Yield the home folder of an account, which contains the system folder too."""
    # Not pytest's own folder, which is private, while root's servers run as another account.
    with swept_home(uuid4().hex[:12]) as base, pytest.MonkeyPatch.context() as patched:
        patched.setattr(binaries, "SYSTEM_FOLDER", base / "system_folder")
        yield base


@pytest.fixture
def machine(base: Path) -> Iterator[Terminal]:
    """Yield a terminal of the account with an embedded database and files outside of COGO_HOME.

    The database is created once, and again after a test that deleted it; what a test placed is removed.
    """
    folder = base / "work"
    folder.mkdir(exist_ok=True)
    (base / ".config/chromium/Crash Reports").mkdir(parents=True, exist_ok=True)
    if not (folder / "home/postgres").exists():
        with EmbeddedServer(folder / "home").running():
            (folder / "home/artifacts").mkdir()
            (folder / "home/artifacts/file").write_bytes(b"x" * 2_000)
    existing = entries(base)
    yield terminal(folder, None, {"HOME": str(base)})
    for placed in entries(base) - existing:
        shutil.rmtree(placed)


def entries(base: Path) -> set[Path]:
    """Return the folders in the system folder and the working directory."""
    parents = (base / "system_folder", base / "work")
    return {path for parent in parents if parent.exists() for path in parent.iterdir() if path.is_dir()}


def place_data(system_folder: Path, name: str, home: Path | None, *, linked: bool) -> Path:
    """Create a data folder in the system folder; an earlier release did not record its home."""
    created = system_folder / name
    (created / "data").mkdir(parents=True)
    if home is not None:
        (created / "home").write_text(str(home))
        home.mkdir(parents=True)
        if linked:
            ServerFiles(home).data.symlink_to(created / "data")
    return created


def test_all_data_is_listed_and_nothing_deleted(machine: Terminal) -> None:
    """The database, artifacts and crash reports are listed with their sizes."""
    listed = machine.ok("db", "destroy")
    home = machine.folder / "home"
    assert listed["deleted"] is False
    sizes = {folder["path"]: folder["size_bytes"] for folder in listed["folders"]}
    assert sizes[str(home / "artifacts")] == 2_000
    assert str(home / "postgres") in sizes
    assert str(machine.folder.parent / ".config/chromium") in sizes
    assert all(Path(path).exists() for path in sizes)
    answer = machine.run("db", "destroy")
    assert answer.code == 0
    assert answer.out.strip().endswith("Nothing was deleted; use --yes to delete without confirmation.")
    assert (home / "postgres").exists()


def test_listed_data_is_deleted(machine: Terminal) -> None:
    """Data of removed homes is deleted too; data that other homes use, or may use, stays."""
    system_folder = machine.folder.parent / "system_folder"
    orphan = place_data(system_folder, "0123456789ab-orphan", machine.folder / "gone", linked=False)
    used = place_data(system_folder, "0123456789ab-used", machine.folder / "other/postgres", linked=True)
    unknown = place_data(system_folder, "0123456789ab-older", None, linked=False)
    done = machine.ok("db", "destroy", "--yes")
    assert done["deleted"] is True
    assert [folder["path"] for folder in done["folders"] if Path(folder["path"]).exists()] == []
    assert not (machine.folder / "home").exists()
    assert not (machine.folder.parent / ".config/chromium").exists()
    assert not orphan.exists()
    assert used.exists()
    assert unknown.exists()
    assert [path.name for path in system_folder.iterdir() if (path / "home").exists()] == ["0123456789ab-used"]
    assert machine.ok("db", "destroy")["folders"] == []


def test_copied_binaries_are_deleted_with_the_last_home(machine: Terminal) -> None:
    """Binaries in the system folder stay as long as another home uses them."""
    system_folder = machine.folder.parent / "system_folder"
    (system_folder / "binaries-1").mkdir(parents=True)
    other = place_data(system_folder, "0123456789ab-used", machine.folder / "other/postgres", linked=True)
    listed = [folder["path"] for folder in machine.ok("db", "destroy")["folders"]]
    assert str(system_folder / "binaries-1") not in listed
    (other / "data").rmdir()
    (other / "home").unlink()
    other.rmdir()
    listed = [folder["path"] for folder in machine.ok("db", "destroy")["folders"]]
    assert str(system_folder / "binaries-1") in listed


def test_a_database_in_use_is_not_deleted(machine: Terminal) -> None:
    """The message asks to stop the processes that use it."""
    with EmbeddedServer(machine.folder / "home").running():
        answer = machine.run("db", "destroy", "--yes")
    assert answer.code == 4
    assert "stop `cogo dev` and the workers" in answer.err
    assert (machine.folder / "home/artifacts/file").exists()


def test_an_external_database_is_not_destroyed(machine: Terminal) -> None:
    """Only the embedded database can be deleted."""
    answer = machine.run("db", "destroy", "--yes", COGO_DATABASE_URL="postgresql://localhost/mine")
    assert answer.code == 2
    assert (machine.folder / "home/postgres").exists()


def test_an_account_does_not_list_data_of_root(machine: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that may not write to the system folder lists nothing of it."""
    system_folder = machine.folder.parent / "system_folder"
    orphan = place_data(system_folder, "0123456789ab-orphan", machine.folder / "gone", linked=False)
    (system_folder / "binaries-1").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != system_folder and access(path, mode))
    paths = [Path(folder["path"]) for folder in machine.ok("db", "destroy")["folders"]]
    assert machine.folder / "home/postgres" in paths
    assert [path for path in paths if path.is_relative_to(system_folder)] == []
    assert orphan.exists()


def test_data_of_an_unreadable_home_is_not_listed(machine: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that cannot be read, as on a network file system closed to root, counts as in use."""
    system_folder = machine.folder.parent / "system_folder"
    home = machine.folder / "closed"
    data = place_data(system_folder, "0123456789ab-data", home, linked=True)
    is_symlink = Path.is_symlink

    def closed(path: Path) -> bool:
        if path.is_relative_to(home):
            raise PermissionError(13, "Permission denied", str(path))
        return is_symlink(path)

    monkeypatch.setattr(Path, "is_symlink", closed)
    assert str(data) not in {folder["path"] for folder in machine.ok("db", "destroy")["folders"]}
