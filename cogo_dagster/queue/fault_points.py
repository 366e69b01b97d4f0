"""Named points before and after each commit or upload of a worker, at which tests inject faults.

In production no handler is registered, and a point costs one lookup in an empty dictionary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

CALLS: Final = (
    "register_worker",
    "claim_jobs",
    "start_jobs",
    "renew_leases",
    "create_artifacts",
    "finish_artifacts",
    "settle_jobs",
    "recover_leases",
    "record_heartbeat",
    "requeue_instance",
    "stop_worker",
)
"""The calls by which every worker commits."""

RARE_CALLS: Final = ("delete_artifacts",)
"""The calls that a worker makes only if there are files to delete."""

UPLOAD: Final = "upload"

POINTS: Final = tuple(f"{when} {what}" for what in (*CALLS, UPLOAD, *RARE_CALLS) for when in ("before", "after"))
"""All names: `before settle_jobs` is reached before the call is sent, `after settle_jobs` after the commit."""

_handlers: dict[str, Callable[[], None]] = {}


def reach(when: str, what: str) -> None:
    """Call the handler that a test has registered for this point; its exceptions are raised here."""
    if _handlers and (handler := _handlers.get(f"{when} {what}")) is not None:
        handler()


@contextmanager
def at(point: str, handler: Callable[[], None]) -> Iterator[None]:
    """Call the handler whenever the point is reached, in the thread that reaches it.

    Raises:
        KeyError: There is no such point.
    """
    if point not in POINTS:
        raise KeyError(point)
    _handlers[point] = handler
    try:
        yield
    finally:
        del _handlers[point]
