"""Everything that this installation has written on this machine, to be listed and removed."""

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
    "artifacts": "files that jobs left",
    "dagster": "Dagster's logs and files",
    "browsers": "a browser that was downloaded",
    "install": "the log of installations",
    "npm": "packages that the tests fetched",
    "sdist": "a source archive that the tests fetched",
}
_IN_PROJECT: Final = ("logs", ".logs_queue", ".telemetry", ".nux")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A folder, with what is in it and how large that is."""

    path: Path
    what: str
    size_bytes: int


def leftovers(settings: Settings) -> list[Leftover]:
    """List what there is, removing nothing. Other programs' folders, as Playwright's cache, are not ours."""
    files = ServerFiles(settings.home / "postgres")
    places = places_of(files)
    found = [(settings.home / name, what) for name, what in _IN_HOME.items()]
    found += [(place, "data of an embedded database") for place in places]
    found += [(path, "a copy of PostgreSQL's programs") for path in copies_of_programs(places)]
    if is_checkout():
        found += [(PROJECT_ROOT / name, "written by Dagster") for name in _IN_PROJECT]
    found += [(path, "crash reports of a browser") for path in _crash_reports()]
    return [Leftover(path, what, _size_bytes(path)) for path, what in found if path.exists() or path.is_symlink()]


def remove(settings: Settings, found: list[Leftover]) -> None:
    """Stop the embedded server, and delete what was found.

    Raises:
        DatabaseUnavailable: The server does not stop, or others use it.
        OSError: Something cannot be deleted.
    """
    server = embedded_server(settings)
    server.check_unused()
    server.stop()
    for leftover in found:
        shutil.rmtree(leftover.path)
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()


def _crash_reports() -> list[Path]:
    """Return Chromium's folder of the account where it holds nothing else: earlier releases made it."""
    folder = Path("~/.config/chromium").expanduser()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return [folder] if names and names <= {"Crash Reports"} else []


def _size_bytes(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_symlink() and file.is_file())
