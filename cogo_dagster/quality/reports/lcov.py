"""Coverage reports of lcov and Go, merged line by line, since several processes may report the same file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports.counts import Counts, Coverage
from cogo_dagster.quality.reports.files import MAX_COUNT, number_of, raise_error

_BLOCK: Final = re.compile(r"(\S.*:\d+\.\d+,\d+\.\d+) (\d{1,9}) (\d{1,18})", re.ASCII)


@dataclass(slots=True)
class _Source:
    """The coverage of one source file.

    Attributes:
        lines: Whether a line was executed, by line number.
        branches: Whether a branch was taken, by line, block and branch number.
        totals: The totals LF, LH, BRF, BRH, for reports without lines.
    """

    lines: dict[str, bool] = field(default_factory=dict)
    branches: dict[str, bool] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        """Add a row of a record."""
        if name == "DA":
            _mark(self.lines, *(value.split(",")[:2]))
        elif name == "BRDA":
            where, _, taken = value.rpartition(",")
            _mark(self.branches, where, taken)
        elif name in ("LF", "LH", "BRF", "BRH") and value.strip().isascii() and value.strip().isdigit():
            self.totals[name] = max(self.totals.get(name, 0), min(int(value.strip()[:12]), MAX_COUNT * 1_000))

    def counts(self, found: dict[str, bool], valid: str, covered: str) -> Counts:
        """Return the counts of the lines or branches, or the totals if there are none."""
        if found:
            return Counts(sum(found.values()), len(found))
        return Counts(self.totals.get(covered, 0), self.totals.get(valid, 0))


def read_lcov(files: Sequence[tuple[Path, str]]) -> Coverage:
    """Return the counts of lcov reports.

    Raises:
        ReportError: A report is truncated, or a count is too large.
    """
    sources: dict[str, _Source] = {}
    for path, text in files:
        if not text.rstrip("\0 \t\r\n").endswith("end_of_record"):
            raise_error(path, "is truncated, since it does not end with end_of_record: regenerate the report")
        for file, name, value in _rows(text):
            sources.setdefault(file, _Source()).add(name, value)
    lines = _sum([source.counts(source.lines, "LF", "LH") for source in sources.values()])
    branches = _sum([source.counts(source.branches, "BRF", "BRH") for source in sources.values()])
    if max(lines.valid, branches.valid) > MAX_COUNT:
        raise_error(files[0][0], "has impossibly large counts: regenerate the report")
    return Coverage(lines, branches)


def read_go(files: Sequence[tuple[Path, str]]) -> Coverage:
    """Return the statement counts of Go cover profiles.

    Raises:
        ReportError: A row is invalid.
    """
    sizes: dict[str, int] = {}
    run: dict[str, bool] = {}
    for path, text in files:
        for row in text.splitlines():
            block = _BLOCK.fullmatch(row.strip())
            if block:
                sizes[block[1]] = int(block[2])
                _mark(run, block[1], block[3])
            elif row.strip() and not row.strip().startswith("mode:"):
                raise_error(path, f"has the invalid row {row.strip()[:60]!r}: regenerate the report")
    return Coverage(Counts(sum(sizes[block] for block, hit in run.items() if hit), sum(sizes.values())))


def _rows(text: str) -> Iterator[tuple[str, str, str]]:
    source = ""
    for row in text.splitlines():
        name, _, value = row.strip().partition(":")
        if name == "SF":
            source = value
        elif value:
            yield source, name, value


def _mark(found: dict[str, bool], where: str, hits: str = "") -> None:
    found[where] = found.get(where, False) or (number_of(hits) or 0) > 0 or (hits.isdigit() and hits.strip("0") != "")


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(sum(count.covered for count in counts), sum(count.valid for count in counts))
