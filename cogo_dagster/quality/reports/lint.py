"""Lint reports.

Formats: JSON of ESLint (also `json-with-metadata`), ruff, biome, oxlint, stylelint, pylint; JSON lines (mypy, ruff);
SARIF; Checkstyle; text rows `path:line:column: message` of ruff, flake8, pylint and mypy.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports.files import check_count, elements, other_format, parse_json
from cogo_dagster.quality.reports.lint_text import read_rows
from cogo_dagster.quality.reports.sarif import read_sarif
from cogo_dagster.queue.model import Json
from cogo_dagster.text import load_json

Pair = tuple[int, int]
"""Errors and warnings."""

_KNOWN: Final = (
    "use `eslint -f json -o FILE`, `ruff check --output-format json -o FILE`, SARIF, Checkstyle or the JSON of biome, "
    "oxlint, stylelint or pylint"
)
_SEVERITIES: Final = {
    **dict.fromkeys(("error", "fatal", "err", "blocker", "critical", "major", "failure"), (1, 0)),
    **dict.fromkeys(("warning", "warn", "minor", "convention", "refactor"), (0, 1)),
}


def read_lint(files: Sequence[tuple[Path, str]]) -> tuple[dict[str, Json], list[str]]:
    """Return `lint_errors` and `lint_warnings` of all files; no notes.

    Raises:
        ReportError: A file is not a lint report.
    """
    pairs = [_read(path, text) for path, text in files]
    path = files[0][0]
    errors, warnings = (sum(pair[at] for pair in pairs) for at in (0, 1))
    return {
        "lint_errors": check_count(path, errors, "errors"),
        "lint_warnings": check_count(path, warnings, "warnings"),
    }, []


def _read(path: Path, text: str) -> Pair:
    first = text.lstrip("\ufeff \t\r\n")[:1]
    if first == "<":
        return _checkstyle(path, text)
    if first in "[{":
        rows = _json_rows(text)
        return _document(path, parse_json(path, text) if rows is None else rows)
    found = read_rows(text)
    return found if found is not None else _document(path, parse_json(path, text))


def _json_rows(text: str) -> list[Json] | None:
    """Return the findings of a report in JSON lines, or None if it has another format."""
    rows = [row for row in text.splitlines() if row.strip()]
    if not rows[0].startswith("{") or not rows[0].rstrip().endswith("}") or (len(rows) == 1 and '"runs"' in rows[0]):
        return None
    try:
        found = [load_json(row) for row in rows]
    except ValueError:
        return None
    finding = all(isinstance(row, dict) and ("filename" in row or "file" in row) for row in found)
    return found if finding else None


def _document(path: Path, document: Json) -> Pair:
    if isinstance(document, dict):
        return _object(path, document)
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise other_format(path, f"is not a lint report: {_KNOWN}")
    for names, read in _LISTS:
        if all(all(name in row for name in names) for row in document):
            return _total(path, [read(path, row) for row in document])
    raise other_format(path, f"is JSON of an unknown linter: {_KNOWN}")


def _object(path: Path, document: dict[str, Json]) -> Pair:
    if isinstance(document.get("runs"), list):
        return read_sarif(path, document)
    for name in ("results", "messages"):  # eslint -f json-with-metadata, pylint's json2
        if isinstance(document.get(name), list):
            return _document(path, document[name])
    summary = document.get("summary")
    if isinstance(summary, dict) and "errors" in summary and "warnings" in summary:
        return check_count(path, summary["errors"], "errors"), check_count(path, summary["warnings"], "warnings")
    if isinstance(document.get("diagnostics"), list):
        rows = [row for row in document["diagnostics"] if isinstance(row, dict)]
        source = document.get("source")
        if isinstance(source, dict) and source.get("name") == "ruff":  # its rdjson reports every violation as a warning
            return _total(path, [(1, 0) for _ in rows])
        return _total(path, [_severity_counts(row.get("severity") or document.get("severity")) for row in rows])
    raise other_format(path, f"is not a lint report: {_KNOWN}")


def _checkstyle(path: Path, text: str) -> Pair:
    errors = warnings = 0
    root = None
    for element in elements(path, text, "none"):
        if root is None:
            root = str(element.tag)
            if root != "checkstyle":
                raise other_format(path, f"is XML with the root <{root[:40]}>, not Checkstyle's <checkstyle>")
        elif element.tag == "error":
            found = _severity_counts(element.get("severity") or "error")
            errors, warnings = errors + found[0], warnings + found[1]
        elif element.tag == "exception":  # a file that the linter could not parse
            errors += 1
    return errors, warnings


def _eslint(path: Path, row: dict[str, Json]) -> Pair:
    return check_count(path, row["errorCount"], "errors"), check_count(path, row.get("warningCount", 0), "warnings")


def _stylelint(path: Path, row: dict[str, Json]) -> Pair:
    warnings = row["warnings"] if isinstance(row["warnings"], list) else []
    found = [_severity_counts(warning.get("severity")) for warning in warnings if isinstance(warning, dict)]
    parse_errors = row.get("parseErrors") if isinstance(row.get("parseErrors"), list) else []
    return _total(path, [*found, *((1, 0) for _ in parse_errors or [])])


def _ruff(path: Path, row: dict[str, Json]) -> Pair:  # noqa: ARG001 - as the others
    """Count a violation of ruff as an error unless its severity, which newer versions write, is warning or info."""
    return _severity_counts(row.get("severity")) if row.get("severity") in ("warning", "info") else (1, 0)


def _typed(path: Path, row: dict[str, Json]) -> Pair:  # noqa: ARG001 - as the others
    return _severity_counts(row["type"])


def _severe(path: Path, row: dict[str, Json]) -> Pair:  # noqa: ARG001 - as the others
    return _severity_counts(row["severity"])


_LISTS: Final[tuple[tuple[tuple[str, ...], Callable[[Path, dict[str, Json]], Pair]], ...]] = (
    (("errorCount", "messages"), _eslint),
    (("code", "filename"), _ruff),
    (("source", "warnings"), _stylelint),
    (("type", "message", "path"), _typed),
    (("severity",), _severe),
)


def _severity_counts(severity: Json) -> Pair:
    """Return the counts of a severity; informational findings count as neither."""
    return _SEVERITIES.get(str(severity).lower(), (0, 0))


def _total(path: Path, pairs: Sequence[Pair]) -> Pair:
    errors = sum(pair[0] for pair in pairs)
    warnings = sum(pair[1] for pair in pairs)
    return check_count(path, errors, "errors"), check_count(path, warnings, "warnings")
