"""Fixtures: a home folder, and a website on this machine for browser jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from cogo_dagster_tests.e2e.system import Dev, Home, running_dev
from cogo_dagster_tests.executors.site import Site, serving
from cogo_dagster_tests.servers import swept_home


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `e2e`."""
    config.addinivalue_line("markers", "e2e: starts the whole system; takes tens of seconds")


@contextmanager
def a_home(site: Site) -> Iterator[Home]:
    """Create a home folder, which is removed with its database."""
    # Not in pytest's temporary folder, which is private: as root, the servers run as another user.
    with swept_home(uuid4().hex[:12]) as folder:
        yield Home(folder, site.authority)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run a website."""
    with serving() as site:
        yield site


@pytest.fixture
def home(site: Site) -> Iterator[Home]:
    """Return an empty home folder."""
    with a_home(site) as home:
        yield home


@pytest.fixture(scope="module")
def dev(site: Site) -> Iterator[Dev]:
    """Run `cogo dev` for the tests of a module."""
    with a_home(site) as home, running_dev(home) as dev:
        yield dev
