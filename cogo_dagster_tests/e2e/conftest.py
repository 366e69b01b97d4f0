"""A home of the test's own, and a site on this machine that its jobs may visit."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from cogo_dagster_tests.e2e.system import Dev, Home, running_dev
from cogo_dagster_tests.executors.site import Site, serving
from cogo_dagster_tests.servers import swept_home


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of these tests."""
    config.addinivalue_line("markers", "e2e: starts the whole system; takes tens of seconds")


@contextmanager
def a_home(site: Site) -> Iterator[Home]:
    """Use a home folder that is removed with its database."""
    # Not pytest's own folder: that one is private, and root's servers run as somebody else.
    with swept_home(uuid4().hex[:12]) as folder:
        yield Home(folder, site.authority)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve pages."""
    with serving() as site:
        yield site


@pytest.fixture
def home(site: Site) -> Iterator[Home]:
    """Lend an empty home."""
    with a_home(site) as home:
        yield home


@pytest.fixture(scope="module")
def dev(site: Site) -> Iterator[Dev]:
    """Start `cogo dev` once for the tests of a module."""
    with a_home(site) as home, running_dev(home) as dev:
        yield dev
