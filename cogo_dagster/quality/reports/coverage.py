"""Coverage reports. Counts are preferred to percentages, which tools round or combine.

Formats: coverage.py's JSON, istanbul's summary (nyc, jest, vitest), Cobertura, Clover, JaCoCo, lcov, Go's profile.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cogo_dagster.quality.reports.counts import Counts, Coverage
from cogo_dagster.quality.reports.coverage_xml import read_xml
from cogo_dagster.quality.reports.files import check_percentage, number_of, other_format, parse_json, raise_error
from cogo_dagster.quality.reports.lcov import read_go, read_lcov
from cogo_dagster.queue.model import Json

_KNOWN = "use coverage.py's JSON, istanbul's summary, Cobertura, Clover, JaCoCo, lcov or Go's profile"
_GO = re.compile(r"\s*mode: (set|count|atomic)\b")


def read_coverage(files: Sequence[tuple[Path, str]]) -> tuple[dict[str, Json], list[str]]:
    """Return `coverage_percent` (of lines) and, if branches were measured, `branch_coverage_percent`; no notes.

    Reports of lcov and Go are merged line by line; the counts of others are added.

    Raises:
        ReportError: A file is not a coverage report, or nothing was measured.
    """
    path = files[0][0]
    if all(_is_lcov(text) for _, text in files):
        found = [read_lcov(files)]
    elif all(_GO.match(text) for _, text in files):
        found = [read_go(files)]
    else:
        found = [_read(file, text) for file, text in files]
    if len(found) == 1 and found[0].percent is not None:
        return {"coverage_percent": check_percentage(path, found[0].percent)}, []
    lines = _total(path, [coverage.lines for coverage in found])
    branches = _total(path, [coverage.branches for coverage in found])
    if not lines.valid:
        raise_error(path, "has no measured lines: run the tests with coverage")
    facts: dict[str, Json] = {"coverage_percent": lines.percent}
    return facts | ({"branch_coverage_percent": branches.percent} if branches.valid else {}), []


def _total(path: Path, counts: Sequence[Counts | None]) -> Counts:
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        raise_error(path, "has no counts and cannot be combined with others: use one report for everything")
    total = Counts(sum(count.covered for count in known), sum(count.valid for count in known))
    if not 0 <= total.covered <= total.valid:
        raise_error(path, f"has invalid counts ({total.covered} of {total.valid} covered): regenerate the report")
    return total


def _is_lcov(text: str) -> bool:
    return re.match(r"\s*(#.*\s+)*(TN:|SF:)", text) is not None


def _read(path: Path, text: str) -> Coverage:
    first = text.lstrip()[:1]
    if first == "<":
        return read_xml(path, text)
    if first in "{[":
        return _json(path, parse_json(path, text))
    if _is_lcov(text):
        return read_lcov([(path, text)])
    if _GO.match(text):
        return read_go([(path, text)])
    raise other_format(path, f"is not a coverage report: {_KNOWN}")


def _json(path: Path, document: Json) -> Coverage:
    if isinstance(document, dict):
        totals, total = document.get("totals"), document.get("total")
        if isinstance(totals, dict) and "percent_covered" in totals:
            return _coverage_py(path, totals)
        if isinstance(total, dict) and isinstance(total.get("lines"), dict):
            lines, branches = total["lines"], total.get("branches")
            if lines.get("pct") == "Unknown":  # istanbul's value for no lines
                return Coverage()
            return _shares(
                path, _pair(lines, "covered", "total"), _pair(branches, "covered", "total"), lines.get("pct")
            )
    raise other_format(path, "is JSON, but not that of coverage.py (`coverage json`) or istanbul (`json-summary`)")


def _coverage_py(path: Path, totals: dict[str, Json]) -> Coverage:
    lines = _pair(totals, "covered_lines", "num_statements")
    return _shares(path, lines, _pair(totals, "covered_branches", "num_branches"), totals["percent_covered"])


def _shares(path: Path, lines: Counts | None, branches: Counts | None, percent: Json) -> Coverage:
    if lines is None:
        return Coverage(percent=check_percentage(path, percent), lines=None)
    return Coverage(lines, branches or Counts(0, 0))


def _pair(numbers: Json, covered: str, valid: str) -> Counts | None:
    """Return both counts, or None if one is missing."""
    if not isinstance(numbers, dict):
        return None
    found = [number_of(numbers.get(name)) for name in (covered, valid)]
    if any(number is None or number != int(number) for number in found):
        return None
    return Counts(*(int(number or 0) for number in found))
