"""External programs of tests: a missing one skips the tests that need it.

In continuous integration (the variable CI is set) it fails them instead.
"""

import os
import shutil
from typing import Final, NoReturn

import pytest

from cogo_dagster_tests.apt import apt_install

PROGRAMS: Final = {
    "npm": ("npm", "part of the development dependencies: `uv sync`"),
    "node": ("nodejs", "part of the development dependencies: `uv sync`"),
    "pgbouncer": ("pgbouncer", "`sudo apt-get install pgbouncer`, or `brew install pgbouncer`"),
    "psql": ("postgresql-client", "`sudo apt-get install postgresql-client`, or `brew install libpq`"),
    "systemd-analyze": ("systemd", "`sudo apt-get install systemd`"),
    "jq": ("jq", "`sudo apt-get install jq`, or `brew install jq`"),
    "curl": ("curl", "`sudo apt-get install curl`, or `brew install curl`"),
    "faketime": ("faketime", "`sudo apt-get install faketime`"),
    "ip": ("iproute2", "`sudo apt-get install iproute2`"),
    "redis-server": ("redis-server", "`sudo apt-get install redis-server`, or `brew install redis`"),
    "git": ("git", "`sudo apt-get install git`, or `xcode-select --install`"),
}
"""Each with Debian's package and the command to install it."""


def find(name: str) -> str | None:
    """Return the path of a program, including Debian's folders for root."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def required(*names: str) -> list[str]:
    """Return the paths of programs; installed if this is root on Debian.

    A missing program skips the test, or fails it in continuous integration.
    """
    get(*names)
    return [find(name) or missing(name, PROGRAMS[name][1]) for name in names]


def get(*names: str) -> None:
    """Install missing programs if this is root on Debian."""
    lacking = [name for name in names if not find(name)]
    if lacking:
        apt_install(*(PROGRAMS[name][0] for name in lacking))


def missing(name: str, remedy: str) -> NoReturn:
    """Skip or fail the test, with the remedy."""
    reason = f"{name} is missing: {remedy}."
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
