"""A tick of a sensor ends in time, whatever it waits for: one that does not would hold up Dagster's daemon."""

import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

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
    answers: SimpleQueue[Callable[[], T]] = SimpleQueue()
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_answer, work, answers), name="cogo-tick", daemon=True).start()
    try:
        return answers.get(timeout=seconds)()
    except Empty:
        raise TickTooLong(f"{what} has not ended within {seconds:g} s: the next tick tries again.") from None


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


def _answer(work: Callable[[], T], answers: "SimpleQueue[Callable[[], T]]") -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        raised = error

        def raise_it() -> T:
            raise raised

        answers.put(raise_it)
    else:
        answers.put(lambda: result)
