"""Pauses between tries: they grow, and are spread so that many clients do not come back at one moment.

The loops stay where they are: each ends for reasons of its own (a deadline, a signal, what the answer says), which a
decorator such as stamina's cannot see.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long the pauses are.

    Attributes:
        first_seconds: The first pause.
        factor: How many times as long the next one is.
        max_seconds: No pause is longer.
    """

    first_seconds: float
    factor: float = 2
    max_seconds: float = math.inf

    def pauses(self) -> Iterator[float]:
        """Yield the pauses of one series of tries, without end, each jittered."""
        seconds = self.first_seconds
        while True:
            yield jittered(seconds)
            seconds = min(seconds * self.factor, self.max_seconds)


def jittered(seconds: float, low: float = 0.5, high: float = 1.5) -> float:
    """Return a random duration between *low* and *high* times as many seconds."""
    return seconds * random.uniform(low, high)  # noqa: S311 - jitter, not a secret
