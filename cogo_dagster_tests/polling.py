"""Pauses between two looks at something that takes an unknown time."""

import time
from typing import Final

_SHARE: Final = 0.05
_MAX_SECONDS: Final = 0.06


def pause(since: float, at_least: float = 0.02) -> None:
    """Wait longer the longer a condition has not held: fifty looks a second take a twentieth of a core.

    Args:
        since: The time of the first look, by `time.monotonic`.
        at_least: The shortest pause.
    """
    time.sleep(max(at_least, min(_MAX_SECONDS, _SHARE * (time.monotonic() - since))))
