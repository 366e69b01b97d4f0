"""`cogo db destroy`: everything that is left behind is listed, and removed when somebody agrees."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster.queue.embedded import EmbeddedServer, binaries
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.servers import swept_home


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """An account with a database of its own, and what other homes left outside of them."""
    with swept_home(uuid4().hex[:12]) as base:  # pytest's own folder is private, and root's servers run as another
        monkeypatch.setattr(binaries, "SYSTEM_FOLDER", base / "system_folder")
        folder = base / "work"
        folder.mkdir()
        (base / ".config/chromium/Crash Reports").mkdir(parents=True)
        with EmbeddedServer(folder / "home").running():
            (folder / "home/artifacts").mkdir()
            (folder / "home/artifacts/file").write_bytes(b"x" * 2_000)
        yield terminal(folder, None, {"HOME": str(base)})


def place(system_folder: Path, name: str, home: Path | None, *, linked: bool) -> Path:
    """What a home put into the system_folder; an earlier release did not note whose it was."""
    made = system_folder / name
    (made / "data").mkdir(parents=True)
    if home is not None:
        (made / "home").write_text(str(home))
        home.mkdir(parents=True)
        if linked:
            ServerFiles(home).data.symlink_to(made / "data")
    return made


def test_everything_is_listed_and_nothing_deleted(machine: Terminal) -> None:
    """The database, files, crash reports, with their sizes."""
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
    assert answer.out.strip().endswith("Nothing was deleted; --yes does it.")
    assert (home / "postgres").exists()


def test_what_is_listed_is_deleted(machine: Terminal) -> None:
    """With what homes that are gone left outside of them; what other homes use, or may use, stays."""
    system_folder = machine.folder.parent / "system_folder"
    orphan = place(system_folder, "0123456789ab-orphan", machine.folder / "gone", linked=False)
    used = place(system_folder, "0123456789ab-used", machine.folder / "other/postgres", linked=True)
    unknown = place(system_folder, "0123456789ab-older", None, linked=False)
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


def test_the_copies_of_the_programs_go_with_the_last_home(machine: Terminal) -> None:
    """Whoever else is there needs them."""
    system_folder = machine.folder.parent / "system_folder"
    (system_folder / "binaries-1").mkdir(parents=True)
    other = place(system_folder, "0123456789ab-used", machine.folder / "other/postgres", linked=True)
    listed = [folder["path"] for folder in machine.ok("db", "destroy")["folders"]]
    assert str(system_folder / "binaries-1") not in listed
    (other / "data").rmdir()
    (other / "home").unlink()
    other.rmdir()
    listed = [folder["path"] for folder in machine.ok("db", "destroy")["folders"]]
    assert str(system_folder / "binaries-1") in listed


def test_a_database_in_use_is_left_alone(machine: Terminal) -> None:
    """Who uses it is to end first."""
    with EmbeddedServer(machine.folder / "home").running():
        answer = machine.run("db", "destroy", "--yes")
    assert answer.code == 4
    assert "stop `cogo dev` and the workers" in answer.err
    assert (machine.folder / "home/artifacts/file").exists()


def test_a_database_of_ones_own_is_not_destroyed(machine: Terminal) -> None:
    """Only the embedded one is ours."""
    answer = machine.run("db", "destroy", "--yes", COGO_DATABASE_URL="postgresql://localhost/mine")
    assert answer.code == 2
    assert (machine.folder / "home/postgres").exists()


def test_an_account_lists_nothing_of_roots(machine: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may not delete it, nor look into the homes that are named there."""
    system_folder = machine.folder.parent / "system_folder"
    orphan = place(system_folder, "0123456789ab-orphan", machine.folder / "gone", linked=False)
    (system_folder / "binaries-1").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != system_folder and access(path, mode))
    paths = [Path(folder["path"]) for folder in machine.ok("db", "destroy")["folders"]]
    assert machine.folder / "home/postgres" in paths
    assert [path for path in paths if path.is_relative_to(system_folder)] == []
    assert orphan.exists()


def test_a_home_that_cannot_be_looked_into_is_not_gone(machine: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's file system that is closed to root: its data stays."""
    system_folder = machine.folder.parent / "system_folder"
    home = machine.folder / "closed"
    kept = place(system_folder, "0123456789ab-kept", home, linked=True)
    is_symlink = Path.is_symlink

    def closed(path: Path) -> bool:
        if path.is_relative_to(home):
            raise PermissionError(13, "Permission denied", str(path))
        return is_symlink(path)

    monkeypatch.setattr(Path, "is_symlink", closed)
    assert str(kept) not in {folder["path"] for folder in machine.ok("db", "destroy")["folders"]}
