"""The account that runs the server, and the folders it can access.

PostgreSQL does not run as root, so root runs it under an unprivileged account.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cogo_dagster.queue.errors import DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system; `switch` is False if this process already runs as it."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> dict[str, Any]:
        """Return the options of `subprocess.Popen` to run a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def own(self, path: Path) -> None:
        """Make this account the owner of a file or folder."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def reaches(self, folder: Path) -> bool:
        """Whether this account may traverse a folder and all its parents."""
        return not self.switch or all(self._passes(parent) for parent in [folder, *folder.parents])

    def _passes(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def choose_account(data_folder: Path) -> Account:
    """Choose the account: the current one, or for root the owner of the data, else `postgres`, else `nobody`.

    Raises:
        DatabaseUnavailable: There is no unprivileged account.
    """
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    if data_folder.exists() and (owner := data_folder.stat()).st_uid != 0:
        return Account(name=str(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid, switch=True)
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=found.pw_uid, gid=found.pw_gid, switch=True)
    raise DatabaseUnavailable(
        "PostgreSQL does not run as root and there is no account `postgres` or `nobody` to run it as: "
        "run this command as another user, or set COGO_DATABASE_URL to your own Postgres."
    )
