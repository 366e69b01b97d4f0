"""Tests that only some machines can run: skipped with the reason elsewhere, failed in continuous integration."""

import os
import sys
from typing import Final

import pytest

from cogo_dagster_tests.programs import missing

MARKS: Final = {
    "linux(reason)": "tests something that exists on Linux only",
    "root(reason)": "only root can do this",
}


def require(item: pytest.Item) -> None:
    """Skip or fail a test that this machine cannot run."""
    lacking = {"linux": sys.platform != "linux", "root": os.geteuid() != 0}
    for mark in item.iter_markers():
        if lacking.get(mark.name):
            missing(mark.name.capitalize(), mark.args[0])
