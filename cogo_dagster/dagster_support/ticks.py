"""A tick of a sensor ends in time, whatever it waits for: one that does not would hold up Dagster's daemon."""

import contextvars
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from typing import Final, TypeVar

from cogo_dagster.queue.threads import started

T = TypeVar("T")

TICK_SECONDS: Final = 40.0
"""Dagster gives up on a tick after 60 s, its resources' opening included, and says only that it was unreachable."""


class TickTooLong(Exception):
    """A part of a tick has not ended in time; its thread is left behind, and what it waits for is closed under it."""


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """Return what *work* returns.

    Args:
        what: What it is, for the sentence.

    Raises:
        TickTooLong: It has not ended after so many seconds.
    """
    future = started(partial(contextvars.copy_context().run, work))
    if not wait([future], timeout=seconds).done:
        raise TickTooLong(f"{what} has not ended within {seconds:g} s: the next tick tries again.")
    return future.result()


class Parts:
    """Does the parts of a tick one after another, each within its time, and keeps what they raise for the end."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def do(self, what: str, seconds: float, work: Callable[[], T]) -> T | None:
        """Return what one part returns; None where it failed."""
        try:
            return within(seconds, what, work)
        except Exception as error:  # noqa: BLE001 - raised at the end of the tick
            self._errors.append(error)
            return None

    def raise_first(self) -> None:
        """Let the tick fail if a part did: that is how Dagster's page, and the next tick, see it."""
        if self._errors:
            raise self._errors[0]
