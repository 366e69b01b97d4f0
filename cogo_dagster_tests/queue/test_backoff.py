"""Pauses between attempts."""

from itertools import islice

import pytest

from cogo_dagster.queue.backoff import Backoff, jittered


def test_pauses_grow_up_to_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jitter, each pause is twice the previous one."""
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    assert list(islice(Backoff(0.5, max_seconds=3).pauses(), 5)) == [0.5, 1, 2, 3, 3]


def test_each_series_starts_with_the_first_pause() -> None:
    """Two series share no state."""
    tried = Backoff(1, factor=100)
    assert all(next(tried.pauses()) <= 1.5 for _ in range(20))


def test_jitter_stays_within_its_bounds() -> None:
    """Clients that started together do not retry together."""
    spread = {jittered(10, 0.75, 1.25) for _ in range(200)}
    assert len(spread) > 100
    assert 7.5 <= min(spread) < 8.5
    assert 11.5 < max(spread) <= 12.5
