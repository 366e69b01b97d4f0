"""Time limits for sensor ticks: a tick that does not end would block Dagster's daemon."""

import contextvars
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from typing import Final, TypeVar

from cogo_dagster.queue.threads import started

T = TypeVar("T")

TICK_SECONDS: Final = 40.0
"""Dagster aborts a tick after 60 s, including the opening of resources, and reports only that it was unreachable."""


class TickTooLong(Exception):
    """A part of a tick exceeded its limit. Its thread is abandoned, and the resources that it uses are closed."""


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """Return the result of *work*.

    Args:
        what: Name of the work for the error message.

    Raises:
        TickTooLong: The time is up.
    """
    future = started(partial(contextvars.copy_context().run, work))
    if not wait([future], timeout=seconds).done:
        raise TickTooLong(f"{what} took longer than {seconds:g} s; the next tick tries again.")
    return future.result()


class Parts:
    """Runs the parts of a tick one after another, each with a time limit, and collects their errors."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def do(self, what: str, seconds: float, work: Callable[[], T]) -> T | None:
        """Return the result of a part; None if it failed."""
        try:
            return within(seconds, what, work)
        except Exception as error:  # noqa: BLE001 - raised at the end of the tick
            self._errors.append(error)
            return None

    def raise_first(self) -> None:
        """Raise the first error of the parts, so that the tick fails and Dagster shows it."""
        if self._errors:
            raise self._errors[0]
