"""Results of a drill."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """Result for one guarantee.

    Attributes:
        promise: Stable name of the guarantee.
        held: Whether it held.
        sentence: What was done and observed.
    """

    promise: str
    held: bool
    sentence: str
