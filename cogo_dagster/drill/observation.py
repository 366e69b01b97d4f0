"""What a drill has seen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """One promise, and whether it held.

    Attributes:
        promise: Its stable name.
        sentence: What was done and seen.
    """

    promise: str
    held: bool
    sentence: str
