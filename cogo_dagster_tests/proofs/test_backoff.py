"""The wait before a retry: within its bounds for every attempt there can be, and spread out."""

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
"""The function's own header: attempts, least and most seconds."""

HIGHEST: Final = 2**31 - 1


@pytest.fixture(scope="module", params=[15, 18], ids=["pg15", "pg18"])
def database(request: pytest.FixtureRequest, servers: Callable[[Major], TestServer]) -> Iterator[Owner]:
    """Lend one database to all tests of this module, whose random numbers are the same each time."""
    with servers(request.param).clone("migrated") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select setseed(0.5)")
        yield connection


@pytest.mark.parametrize(("attempts", "least", "most"), TABLE)
def test_the_wait_is_what_the_header_says(database: Owner, attempts: int, least: float, most: float) -> None:
    """Each line of the table: never less, never more, and both ends are come near to."""
    waits = draw(database, attempts)
    assert least <= min(waits) < least * 1.01
    assert most * 0.99 < max(waits) <= most


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(attempts=st.integers(-HIGHEST, HIGHEST))
@example(attempts=0)
@example(attempts=10**6)
@example(attempts=HIGHEST)
@example(attempts=-HIGHEST - 1)
def test_the_wait_stays_between_five_seconds_and_an_hour(database: Owner, attempts: int) -> None:
    """For every number an attempt can have, and for those it cannot: no overflow, no wait for ever, no wait of zero."""
    [wait] = draw(database, attempts, 1)
    ceiling = min(10 * 2 ** (min(max(attempts, 1), 30) - 1), 3600)
    assert 5 <= ceiling / 2 <= wait <= ceiling <= 3600


def test_a_later_attempt_never_waits_less_at_most_nor_at_least(database: Owner) -> None:
    """The bounds only grow, up to the cap."""
    drawn = [draw(database, attempts, 200) for attempts in range(1, 40)]
    for earlier, later in pairwise(drawn):
        assert min(later) >= min(earlier) * 0.9
        assert max(later) >= max(earlier) * 0.9


@pytest.mark.parametrize("attempts", [1, 5, 50])
def test_jobs_that_failed_together_do_not_return_together(database: Owner, attempts: int) -> None:
    """The random half is spread evenly: chi-square of 20 buckets, far from what chance makes in a million draws."""
    waits = draw(database, attempts)
    ceiling = min(10 * 2 ** (attempts - 1), 3600)
    counts = [0] * BUCKETS
    for wait in waits:
        counts[min(int((wait / ceiling - 0.5) * 2 * BUCKETS), BUCKETS - 1)] += 1
    expected = DRAWS / BUCKETS
    assert sum((count - expected) ** 2 / expected for count in counts) < 80
    assert len(set(waits)) > DRAWS * 0.99


def draw(database: Owner, attempts: int, count: int = DRAWS) -> list[float]:
    """Return so many waits after one attempt."""
    query = "select cogo_internal.backoff_seconds(%s::integer) from generate_series(1, %s)"
    return [row[0] for row in database.execute(query, (attempts, count))]
