"""Lists and deletes all data of this installation on this machine."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.bootstrap.database import embedded_server
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster.queue.embedded.system_folder import copies_of_programs, places_of
from cogo_dagster.settings import PROJECT_ROOT, Settings, is_checkout

_IN_HOME: Final = {
    "postgres": "the embedded database",
    "artifacts": "artifacts of jobs",
    "dagster": "logs and files of Dagster",
    "browsers": "a downloaded browser",
    "install": "logs of installations",
    "npm": "packages downloaded by tests",
    "sdist": "a source archive downloaded by tests",
}
_IN_PROJECT: Final = ("logs", ".logs_queue", ".telemetry", ".nux")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A folder, with a description and its size."""

    path: Path
    what: str
    size_bytes: int


def leftovers(settings: Settings) -> list[Leftover]:
    """Return the existing folders. Folders of other programs, such as Playwright's cache, are not included."""
    files = ServerFiles(settings.home / "postgres")
    data_folders = places_of(files)
    found = [(settings.home / name, what) for name, what in _IN_HOME.items()]
    found += [(folder, "data of an embedded database") for folder in data_folders]
    found += [(path, "a copy of the binaries of PostgreSQL") for path in copies_of_programs(data_folders)]
    if is_checkout():
        found += [(PROJECT_ROOT / name, "written by Dagster") for name in _IN_PROJECT]
    found += [(path, "crash reports of a browser") for path in _crash_reports()]
    return [Leftover(path, what, _size_bytes(path)) for path, what in found if path.exists() or path.is_symlink()]


def remove(settings: Settings, found: list[Leftover]) -> None:
    """Stop the embedded server, and delete the folders.

    Raises:
        DatabaseUnavailable: The server does not stop, or is in use.
        OSError: A folder cannot be deleted.
    """
    server = embedded_server(settings)
    server.check_unused()
    server.stop()
    for leftover in found:
        shutil.rmtree(leftover.path)
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()


def _crash_reports() -> list[Path]:
    """Return the Chromium folder of the account if it has only crash reports, as created by earlier releases."""
    folder = Path("~/.config/chromium").expanduser()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return [folder] if names and names <= {"Crash Reports"} else []


def _size_bytes(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_symlink() and file.is_file())
