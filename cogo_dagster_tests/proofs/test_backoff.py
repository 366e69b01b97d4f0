"""The backoff before a retry: within its bounds for every attempt, and evenly distributed."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.servers import Major, TestServer

DRAWS: Final = 2_000
BUCKETS: Final = 20

TABLE: Final = [
    (1, 5, 10),
    (2, 10, 20),
    (3, 20, 40),
    (4, 40, 80),
    (9, 1280, 2560),
    (10, 1800, 3600),
    (1_000_000, 1800, 3600),
]
"""From the function's header: attempts, minimum and maximum seconds."""

HIGHEST: Final = 2**31 - 1


@pytest.fixture(scope="module", params=[15, 18], ids=["pg15", "pg18"])
def database(request: pytest.FixtureRequest, servers: Callable[[Major], TestServer]) -> Iterator[Owner]:
    """Yield one database for all tests of this module, with a fixed random seed."""
    with servers(request.param).clone("migrated") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select setseed(0.5)")
        yield connection


@pytest.mark.parametrize(("attempts", "least", "most"), TABLE)
def test_the_backoff_is_within_the_documented_bounds(database: Owner, attempts: int, least: float, most: float) -> None:
    """For each line of the table, the backoff is within its bounds, and comes close to both."""
    waits = draw(database, attempts)
    assert least <= min(waits) < least * 1.01
    assert most * 0.99 < max(waits) <= most


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(attempts=st.integers(-HIGHEST, HIGHEST))
@example(attempts=0)
@example(attempts=10**6)
@example(attempts=HIGHEST)
@example(attempts=-HIGHEST - 1)
def test_the_backoff_is_between_five_seconds_and_an_hour(database: Owner, attempts: int) -> None:
    """Every number of attempts, even an impossible one, has a finite, positive backoff without an overflow."""
    [wait] = draw(database, attempts, 1)
    ceiling = min(10 * 2 ** (min(max(attempts, 1), 30) - 1), 3600)
    assert 5 <= ceiling / 2 <= wait <= ceiling <= 3600


def test_the_bounds_of_the_backoff_never_decrease(database: Owner) -> None:
    """They increase up to the maximum."""
    drawn = [draw(database, attempts, 200) for attempts in range(1, 40)]
    for earlier, later in pairwise(drawn):
        assert min(later) >= min(earlier) * 0.9
        assert max(later) >= max(earlier) * 0.9


@pytest.mark.parametrize("attempts", [1, 5, 50])
def test_the_backoff_of_simultaneous_failures_is_uniformly_distributed(database: Owner, attempts: int) -> None:
    """Chi-square test of 20 buckets, with a threshold that chance exceeds less than once in a million draws."""
    waits = draw(database, attempts)
    ceiling = min(10 * 2 ** (attempts - 1), 3600)
    counts = [0] * BUCKETS
    for wait in waits:
        counts[min(int((wait / ceiling - 0.5) * 2 * BUCKETS), BUCKETS - 1)] += 1
    expected = DRAWS / BUCKETS
    assert sum((count - expected) ** 2 / expected for count in counts) < 80
    assert len(set(waits)) > DRAWS * 0.99


def draw(database: Owner, attempts: int, count: int = DRAWS) -> list[float]:
    """Return this many backoffs after one attempt."""
    query = "select cogo_internal.backoff_seconds(%s::integer) from generate_series(1, %s)"
    return [row[0] for row in database.execute(query, (attempts, count))]
