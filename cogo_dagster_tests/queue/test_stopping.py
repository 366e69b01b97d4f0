"""Attribution of a child's end to a stop signal."""

import asyncio
import time
from collections.abc import Callable

import pytest

from cogo_dagster.queue.stopping import STOP, StopSignal, note_stop, stopped_at


def explained(ended_seconds_ago: float, signal_stop: Callable[[StopSignal], None]) -> bool:
    """Whether a stop that `signal_stop` may cause explains the end of a child that long ago."""

    async def scenario() -> bool:
        stop = StopSignal()
        signal_stop(stop)
        return await stop.explains(time.monotonic() - ended_seconds_ago)

    return asyncio.run(scenario())


def soon(stop: StopSignal) -> None:
    """Send the signal while the end is being evaluated."""
    asyncio.get_running_loop().call_later(0.2, stop.note_stop)


def never(stop: StopSignal) -> None:
    """Send no signal."""


@pytest.mark.parametrize(
    ("ended_seconds_ago", "signal_stop", "expected"),
    [
        (-100, StopSignal.note_stop, True),  # at any time after the signal
        (0.9, StopSignal.note_stop, True),
        (1.1, StopSignal.note_stop, False),
        (0, soon, True),
        (0.9, soon, False),
        (0.9, never, False),
    ],
)
def test_an_end_up_to_a_second_before_a_stop_is_attributed_to_it(
    ended_seconds_ago: float, signal_stop: Callable[[StopSignal], None], expected: bool
) -> None:
    """So is an end at any time after it."""
    assert explained(ended_seconds_ago, signal_stop) is expected


def test_the_wait_for_a_stop_is_limited_to_a_second() -> None:
    """A child's own failure delays its job no longer."""
    began = time.monotonic()
    assert not explained(0, never)
    assert 0.9 < time.monotonic() - began < 1.5


def test_the_first_signal_counts() -> None:
    """A second signal does not turn an earlier end into a failure."""
    STOP.reset()
    note_stop()
    first = stopped_at()
    note_stop()
    assert stopped_at() == first is not None
    STOP.reset()
    assert stopped_at() is None
