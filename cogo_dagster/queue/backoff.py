"""Exponential backoff with jitter.

The retry loops are elsewhere: each has its own end condition (a deadline, a signal, the content of the reply), which a
decorator such as stamina's cannot see.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts.

    Attributes:
        first_seconds: The first pause.
        factor: The ratio of one pause to the previous one.
        max_seconds: The longest pause.
    """

    first_seconds: float
    factor: float = 2
    max_seconds: float = math.inf

    def pauses(self) -> Iterator[float]:
        """Yield the pauses of one retry loop without end, each with jitter."""
        seconds = self.first_seconds
        while True:
            yield jittered(seconds)
            seconds = min(seconds * self.factor, self.max_seconds)


def jittered(seconds: float, low: float = 0.5, high: float = 1.5) -> float:
    """Return a random duration between *low* and *high* times `seconds`."""
    return seconds * random.uniform(low, high)  # noqa: S311 - jitter, not a secret
