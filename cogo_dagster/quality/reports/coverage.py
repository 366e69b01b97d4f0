"""Coverage reports: coverage.py's JSON, istanbul's summary (nyc, jest, vitest), Cobertura XML, lcov."""

import re
from pathlib import Path

from cogo_dagster.quality.reports.files import MOST, elements, number_of, parse_json, refusal, refuse, share
from cogo_dagster.queue.model import Json


def read_coverage(path: Path, text: str) -> dict[str, Json]:
    """Return `coverage_percent`, of lines, or as the tool weighs them.

    Raises:
        ReportError: It is no such report, or nothing was measured.
    """
    first = text.lstrip()[:1]
    if first == "<":
        percent = _cobertura(path, text)
    elif first in "{[":
        percent = _json(path, parse_json(path, text))
    elif re.match(r"\s*(TN:|SF:)", text):
        percent = _lcov(path, text)
    else:
        refuse(path, "is no coverage report: coverage.py's JSON, istanbul's summary, Cobertura and lcov are read")
    return {"coverage_percent": percent}


def _json(path: Path, document: Json) -> float:
    if isinstance(document, dict):
        totals, total = document.get("totals"), document.get("total")
        if isinstance(totals, dict) and "percent_covered" in totals:
            return share(path, totals["percent_covered"])
        if isinstance(total, dict) and isinstance(total.get("lines"), dict):
            if total["lines"].get("pct") == "Unknown":  # what istanbul says of no lines at all
                refuse(path, "has no measured line: run the tests under coverage")
            return share(path, total["lines"].get("pct"))
    raise refusal(path, "is JSON, but neither coverage.py's (`coverage json`) nor istanbul's (`json-summary`)")


def _cobertura(path: Path, text: str) -> float:
    for root in elements(path, text):
        if root.tag != "coverage":
            refuse(path, f"is XML of <{str(root.tag)[:40]}>, not Cobertura's <coverage>")
        rate, lines = number_of(root.get("line-rate")), number_of(root.get("lines-valid"))
        break
    for _ in elements(path, text):
        pass  # to its end: a truncated one is refused
    if lines == 0:
        refuse(path, "has no measured line: run the tests under coverage")
    return share(path, None if rate is None else rate * 100)


def _lcov(path: Path, text: str) -> float:
    if not text.rstrip().endswith("end_of_record"):
        refuse(path, "is cut off: it does not end with end_of_record")
    found, hit = (_lcov_sum(path, text, name) for name in ("LF", "LH"))
    if not found:
        found, hit = _lcov_lines(text)
    if not found:
        refuse(path, "has no measured line: run the tests under coverage")
    return share(path, 100 * hit / found)


def _lcov_sum(path: Path, text: str, name: str) -> int:
    total = sum(int(value) for value in re.findall(rf"^{name}:(\d{{1,12}})\s*$", text, re.MULTILINE))
    if total > MOST:
        refuse(path, "counts more lines than there can be")
    return total


def _lcov_lines(text: str) -> tuple[int, int]:
    hits = re.findall(r"^DA:\d+,(\d+)", text, re.MULTILINE)
    return len(hits), sum(set(count) != {"0"} for count in hits)
