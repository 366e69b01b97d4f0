"""Lint reports: ESLint's `-f json` and ruff's `--output-format json`."""

from pathlib import Path

from cogo_dagster.quality.reports.files import counted, parse_json, refusal, refuse
from cogo_dagster.queue.model import Json


def read_lint(path: Path, text: str) -> dict[str, Json]:
    """Return `lint_errors` and `lint_warnings`.

    Raises:
        ReportError: It is no such report.
    """
    rows = parse_json(path, text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        refuse(path, "is no lint report: `eslint -f json` and `ruff check --output-format json` write lists of objects")
    if all("errorCount" in row and "messages" in row for row in rows):
        return _total(path, [(row["errorCount"], row.get("warningCount", 0)) for row in rows])
    if all("code" in row and "filename" in row for row in rows):
        return _total(path, [_severity(row) for row in rows])
    raise refusal(
        path, "is neither ESLint's nor ruff's JSON: `eslint -f json` or `ruff check --output-format json` writes it"
    )


def _severity(finding: dict[str, Json]) -> tuple[int, int]:
    """Ruff calls what it finds a violation; only a newer one may say that it is a warning."""
    return (0, 1) if finding.get("severity") == "warning" else (1, 0)


def _total(path: Path, pairs: list[tuple[Json, Json]]) -> dict[str, Json]:
    errors = sum(counted(path, errors, "errors") for errors, _ in pairs)
    warnings = sum(counted(path, warnings, "warnings") for _, warnings in pairs)
    return {"lint_errors": counted(path, errors, "errors"), "lint_warnings": counted(path, warnings, "warnings")}
