"""Fixtures: sites, and a browser shared by all tests that only open pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.executors.bench import Bench, bench
from cogo_dagster_tests.executors.figma_bench import FigmaBench, figma_bench
from cogo_dagster_tests.executors.site import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    """A site for one test, which jobs may open."""
    with serving() as site:
        yield site


@pytest.fixture
def neighbour() -> Iterator[Site]:
    """Another site on this machine, which is on no allow-list."""
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An executor with a browser, shared by the tests of one process."""
    with serving() as site, bench(site, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def open_bench(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The shared executor, whose jobs may connect to every port of this machine during the test."""
    shared.change(monkeypatch, allowed_hosts=("127.0.0.1",))
    return shared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for the files of the test's jobs."""
    return tmp_path


@pytest.fixture
def figma(transport: Transport, dsn: str, tmp_path: Path) -> Iterator[FigmaBench]:
    """A queue, a store and a fake Figma."""
    with figma_bench(transport, dsn, tmp_path) as bench:
        yield bench
