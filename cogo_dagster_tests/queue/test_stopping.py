"""What a stop signal explains."""

import asyncio
import time
from collections.abc import Callable

import pytest

from cogo_dagster.queue.stopping import STOP, StopSignal, note_stop, stopped_at


def explained(ended_seconds_ago: float, act: Callable[[StopSignal], None]) -> bool:
    """Whether a stop that `act` may cause explains the end of a child so long ago."""

    async def scenario() -> bool:
        stop = StopSignal()
        act(stop)
        return await stop.explains(time.monotonic() - ended_seconds_ago)

    return asyncio.run(scenario())


def soon(stop: StopSignal) -> None:
    """The signal comes while the death is being judged."""
    asyncio.get_running_loop().call_later(0.2, stop.note_stop)


def never(stop: StopSignal) -> None:
    """No signal comes."""


@pytest.mark.parametrize(
    ("ended_seconds_ago", "act", "expected"),
    [
        (-100, StopSignal.note_stop, True),  # any time after the signal
        (0.9, StopSignal.note_stop, True),
        (1.1, StopSignal.note_stop, False),
        (0, soon, True),
        (0.9, soon, False),
        (0.9, never, False),
    ],
)
def test_a_death_belongs_to_a_stop_up_to_a_second_before_it(
    ended_seconds_ago: float, act: Callable[[StopSignal], None], expected: bool
) -> None:
    """And at any time after it."""
    assert explained(ended_seconds_ago, act) is expected


def test_no_stop_is_waited_for_longer_than_a_second() -> None:
    """A child that failed on its own costs its job no more."""
    began = time.monotonic()
    assert not explained(0, never)
    assert 0.9 < time.monotonic() - began < 1.5


def test_the_first_signal_counts() -> None:
    """A second one does not make an earlier death a failure."""
    STOP.reset()
    note_stop()
    first = stopped_at()
    note_stop()
    assert stopped_at() == first is not None
    STOP.reset()
    assert stopped_at() is None
