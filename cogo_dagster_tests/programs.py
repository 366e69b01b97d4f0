"""Programs that tests need besides Python's: what is missing is said at the start, and skips the tests that need it.

In continuous integration (the variable CI is set) a missing program fails them instead.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Final, NoReturn

import pytest

from cogo_dagster_tests.apt import apt_install

PROGRAMS: Final = {
    "npm": ("npm", "it comes with the development packages: `uv sync`"),
    "node": ("nodejs", "it comes with the development packages: `uv sync`"),
    "pgbouncer": ("pgbouncer", "`sudo apt-get install pgbouncer`, or `brew install pgbouncer`"),
    "jq": ("jq", "`sudo apt-get install jq`, or `brew install jq`"),
    "curl": ("curl", "`sudo apt-get install curl`, or `brew install curl`"),
    "git": ("git", "`sudo apt-get install git`, or `xcode-select --install`"),
}
"""Each with Debian's package and how a person gets it."""


def find(name: str) -> str | None:
    """Return the path of a program; what Debian keeps for root is found by others too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def required(*names: str) -> list[str]:
    """Return the paths of programs; root on Debian gets them installed.

    A program that is missing skips the test, or fails it in continuous integration.
    """
    lacking = [name for name in names if not find(name)]
    if lacking:
        apt_install(*(PROGRAMS[name][0] for name in lacking))
    return [find(name) or missing(name, PROGRAMS[name][1]) for name in names]


def missing(name: str, remedy: str) -> NoReturn:
    """End the test that needs it, with what to do."""
    reason = f"{name} is missing: {remedy}."
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def report() -> Iterator[str]:
    """Say what is missing on this machine, a line each; nothing where all is there."""
    lacking = [name for name in PROGRAMS if not find(name)]
    if not lacking:
        return
    by_us = os.geteuid() == 0 and shutil.which("apt-get")
    yield "Programs that are missing here; " + (
        "apt-get installs them when a test needs them, which takes some minutes:"
        if by_us
        else "the tests that need them are skipped:"
    )
    yield from (f"  {name:<10} {PROGRAMS[name][1]}" for name in lacking)
