"""Fixture: a machine for each kind of account."""

from collections.abc import Iterator

import pytest

from cogo_dagster_tests.executors.isolation.bench import ACCOUNTS, Machine, temporary_machine


@pytest.fixture(params=ACCOUNTS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine whose worker is root, and one whose worker is an unprivileged user."""
    with temporary_machine(request.param) as made:
        yield made
