"""The counts of a coverage report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Covered and total lines or branches."""

    covered: int
    valid: int

    @property
    def percent(self) -> float:
        """The percentage with two decimals; 100 only if everything is covered. `valid` must not be 0."""
        rounded = round(100 * self.covered / self.valid, 2)
        return min(rounded, 99.99) if self.covered < self.valid else rounded


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of a report, or of several merged reports.

    Attributes:
        lines: None if the report has no counts.
        branches: None if unknown; 0 of 0 if not measured.
        percent: The line coverage of a report without counts.
    """

    lines: Counts | None = Counts(0, 0)
    branches: Counts | None = Counts(0, 0)
    percent: float | None = None
