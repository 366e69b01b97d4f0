"""A report: the file, what it says, and what it is called as an artifact."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports.coverage import read_coverage
from cogo_dagster.quality.reports.files import read_text
from cogo_dagster.quality.reports.junit import read_junit
from cogo_dagster.quality.reports.lint import read_lint
from cogo_dagster.queue.model import Json

KINDS: Final[Mapping[str, Callable[[Path, str], dict[str, Json]]]] = {
    "eslint": read_lint,
    "coverage": read_coverage,
    "junit": read_junit,
}
"""What a gate run may have a report of."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was read.

    Attributes:
        kind: `eslint` (ruff's too), `coverage` or `junit`.
        facts: The columns of a gate run that it fills.
        extension: By what it holds, not by what it is called.
    """

    kind: str
    path: Path
    facts: Mapping[str, Json]
    extension: str

    @property
    def content_type(self) -> str:
        """MIME type."""
        return {"json": "application/json", "xml": "application/xml"}.get(self.extension, "text/plain")


def read_report(kind: str, path: Path) -> Report:
    """Read one report.

    Raises:
        ReportError: One sentence that says what is wrong with it.
    """
    text = read_text(path)
    extension = {"<": "xml", "{": "json", "[": "json"}.get(text.lstrip()[:1], "txt")
    return Report(kind, path, KINDS[kind](path, text), extension)
