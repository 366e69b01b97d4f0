"""One site and one browser for all tests that only look at pages."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench
from cogo_dagster_tests.executors.figma_bench import FigmaBench, figma_bench
from cogo_dagster_tests.executors.site import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    """A site of the test's own, which jobs may visit."""
    with serving() as site:
        yield site


@pytest.fixture
def neighbour() -> Iterator[Site]:
    """Another site on this machine, which no allow-list names."""
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An executor with a browser, shared by the tests of one process."""
    with serving() as site, bench(site, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def open_bench(shared: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A browser that may visit every port of this machine."""
    options = replace(OPTIONS, allowed_hosts=("127.0.0.1",))
    with bench(shared.site, tmp_path_factory.mktemp("open"), options) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where jobs of this test write."""
    return tmp_path


@pytest.fixture
def figma(transport: Transport, dsn: str, tmp_path: Path) -> Iterator[FigmaBench]:
    """A worker's surroundings with a stand-in for Figma."""
    with figma_bench(transport, dsn, tmp_path) as bench:
        yield bench
