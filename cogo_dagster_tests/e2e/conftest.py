"""Fixtures: the installed wheel, `cogo dev`, and a website on this machine for browser jobs."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cogo_dagster_tests.e2e.system import Dev, Home, running_dev
from cogo_dagster_tests.e2e.wheel import Account, built, installed
from cogo_dagster_tests.executors.site import Site, serving
from cogo_dagster_tests.servers import swept_home


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
def account(site: Site) -> Iterator[Account]:
    """Create an account, not in pytest's temporary folder, which the server cannot access when root runs the tests."""
    with swept_home(uuid4().hex[:12]) as folder:
        (folder / "work").mkdir()
        yield Account(folder / ".cogo", site.authority)


@pytest.fixture(scope="module")
def dev(programs: Path, account: Account) -> Iterator[Dev]:
    """Run `cogo dev` of the wheel, in an empty folder, for the tests of a module."""
    with running_dev(Home(account.folder, account.allowed_host), programs / "cogo", account.work) as dev:
        yield dev
