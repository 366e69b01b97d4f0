"""What a coverage report counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """So many of so many."""

    covered: int
    valid: int

    @property
    def percent(self) -> float:
        """Per cent with two decimals; 100 only where nothing is missing. `valid` must not be 0."""
        rounded = round(100 * self.covered / self.valid, 2)
        return min(rounded, 99.99) if self.covered < self.valid else rounded


@dataclass(frozen=True, slots=True)
class Coverage:
    """One report, or several that were merged.

    Attributes:
        lines: None where it has no counts.
        branches: None where they are not to be told; 0 of 0 where none were measured.
        percent: Of lines, from a report without counts.
    """

    lines: Counts | None = Counts(0, 0)
    branches: Counts | None = Counts(0, 0)
    percent: float | None = None
