"""Times and numbers as text."""

from datetime import UTC, datetime, timedelta

import pytest

from cogo_dagster.formatting.values import distance


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (172_795, "in 2 d"),
        (86_399.8, "in 1 d"),
        (250, "in 4 min"),
        (59.7, "in 1 min"),
        (-172_795, "1 d ago"),
        (0.2, "now"),
    ],
)
def test_a_time_in_the_future_is_rounded_to_the_nearest_unit(seconds: float, text: str) -> None:
    """A job that is enqueued to run in two days runs "in 2 d" a few seconds later; past times are rounded down."""
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert distance(now + timedelta(seconds=seconds), now) == text
