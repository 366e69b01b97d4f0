"""How a fault begins and ends."""

from collections.abc import Callable
from typing import Final

from cogo_dagster_tests.chaos.plan import Step

Undo = Callable[[], object]
Lasting = tuple[float, Undo]
"""After how many seconds which call ends a fault."""
Fault = Callable[[Step], Lasting]


class NotPossible(Exception):
    """The fault has nobody to happen to just now."""


def nothing() -> None:
    """It has ended already."""


ENDED: Final[Lasting] = (0, nothing)
"""What has ended when it has happened."""
