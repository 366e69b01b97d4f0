"""Fixtures: the installed wheel, `cogo dev`, and a website on this machine for browser jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster_tests.e2e.system import Dev, a_home, running_dev
from cogo_dagster_tests.e2e.wheel import built, installed
from cogo_dagster_tests.executors.site import Site, serving


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `e2e`."""
    config.addinivalue_line("markers", "e2e: starts the whole system; takes tens of seconds")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run a website."""
    with serving() as site:
        yield site


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel; return the folder of its programs."""
    return installed(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty working folder."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def dev(site: Site, programs: Path, work: Path) -> Iterator[Dev]:
    """Run `cogo dev` of the wheel, in an empty folder, for the tests of a module."""
    with a_home(site) as home, running_dev(home, programs / "cogo", work) as dev:
        yield dev
