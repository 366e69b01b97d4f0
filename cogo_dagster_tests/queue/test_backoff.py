"""Pauses between tries."""

from itertools import islice

import pytest

from cogo_dagster.queue.backoff import Backoff, jittered


def test_pauses_grow_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is twice the one before, without its jitter."""
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    assert list(islice(Backoff(0.5, max_seconds=3).pauses(), 5)) == [0.5, 1, 2, 3, 3]


def test_a_series_of_pauses_begins_anew() -> None:
    """Two series share nothing."""
    tried = Backoff(1, factor=100)
    assert all(next(tried.pauses()) <= 1.5 for _ in range(20))


def test_jitter_spreads_within_its_bounds() -> None:
    """No two clients come back at one moment."""
    spread = {jittered(10, 0.75, 1.25) for _ in range(200)}
    assert len(spread) > 100
    assert 7.5 <= min(spread) < 8.5
    assert 11.5 < max(spread) <= 12.5
