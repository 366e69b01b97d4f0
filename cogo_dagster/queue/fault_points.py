"""Named places before and after everything that a worker commits or stores, where a test can make something happen.

In production nothing is registered, and a place costs one look into an empty dictionary.
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
"""The calls that a worker commits something with whatever its jobs are."""

RARE_CALLS: Final = ("delete_artifacts",)
"""Those that it makes where somebody left files."""

UPLOAD: Final = "upload"

POINTS: Final = tuple(f"{when} {what}" for what in (*CALLS, UPLOAD, *RARE_CALLS) for when in ("before", "after"))
"""All names: `before settle_jobs` is reached when nothing has been sent, `after settle_jobs` when it is committed."""

_handlers: dict[str, Callable[[], None]] = {}


def reach(when: str, what: str) -> None:
    """Let happen what a test has registered for this place; whatever it raises is raised here."""
    if _handlers and (handler := _handlers.get(f"{when} {what}")) is not None:
        handler()


@contextmanager
def at(point: str, handler: Callable[[], None]) -> Iterator[None]:
    """Call the handler whenever the place is reached, in the thread that reaches it.

    Raises:
        KeyError: There is no such place.
    """
    if point not in POINTS:
        raise KeyError(point)
    _handlers[point] = handler
    try:
        yield
    finally:
        del _handlers[point]
