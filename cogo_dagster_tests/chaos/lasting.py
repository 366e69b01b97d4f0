"""The begin and end of a fault."""

from collections.abc import Callable
from typing import Final

from cogo_dagster_tests.chaos.plan import Step

Undo = Callable[[], object]
Lasting = tuple[float, Undo]
"""The number of seconds after which the call ends a fault."""
Fault = Callable[[Step], Lasting]


class NotPossible(Exception):
    """The fault has no target at the moment."""


def nothing() -> None:
    """Do nothing."""


ENDED: Final[Lasting] = (0, nothing)
"""A fault without a duration."""
