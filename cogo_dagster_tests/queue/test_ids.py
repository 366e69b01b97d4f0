"""IDs that sort by creation time."""

import time
from uuid import RFC_4122

import pytest

from cogo_dagster.queue.ids import new_request_id


def test_an_id_is_a_version_7_uuid() -> None:
    """The variant is that of RFC 9562, and no two IDs are equal."""
    ids = [new_request_id() for _ in range(1_000)]
    assert {(made.version, made.variant) for made in ids} == {(7, RFC_4122)}
    assert len(set(ids)) == 1_000


def test_an_id_contains_its_time() -> None:
    """The first 48 bits are Unix milliseconds."""
    before = time.time_ns() // 1_000_000
    assert before <= new_request_id().int >> 80 <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("step_nanoseconds", [250, 1_000, 1_000_000, 1_000_000_000])
def test_later_ids_sort_after_earlier_ones(monkeypatch: pytest.MonkeyPatch, step_nanoseconds: int) -> None:
    """This holds within one millisecond and across its end."""
    clock = iter(range(1_800_000_000_000_000_000, 1_900_000_000_000_000_000, step_nanoseconds))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    ids = [new_request_id() for _ in range(5_000)]
    assert ids == sorted(ids)
