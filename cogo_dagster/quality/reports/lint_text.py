"""Text lint reports: rows `path:line:column: CODE message`, ruff's default output, GitHub annotations."""

import re
from typing import Final

_ROW: Final = re.compile(
    r"(?P<path>[^\s:][^:\n]*|[A-Za-z]:[^:\n]+):\d+(:\d+)?(-\d+(:\d+)?)?: (?P<message>.+)", re.ASCII
)
_PYLINT: Final = re.compile(r"(?P<category>[CRWEFI])\d{4}: ")
_MYPY: Final = re.compile(r"(?P<severity>error|warning|note): ")
_OTHER: Final = re.compile(
    r"\*{5,}.*|-{5,}|=+|Your code has been rated .*|Found (\d+|no) (errors?|issues?).*|Success: .*|All checks passed!"
    r"|\[\*\] .*|No fixes available.*|warning: .*"
)
_ANNOTATION: Final = re.compile(r"^::(error|warning|notice) ", re.MULTILINE)
_RUFF: Final = re.compile(
    r"^Found (?P<found>\d{1,9}) errors?(?: \(\d+ fixed, (?P<left>\d{1,9}) remaining\))?\.$", re.MULTILINE | re.ASCII
)


def read_rows(text: str) -> tuple[int, int] | None:
    """Return the number of errors and warnings, or None if a row has another format."""
    if annotations := _ANNOTATION.findall(text):
        return annotations.count("error"), annotations.count("warning")
    if found := _RUFF.search(text):  # its default output; fixed violations do not count
        return int(found["left"] or found["found"]), 0
    errors = warnings = 0
    for row in filter(None, map(str.strip, text.splitlines())):
        found = _ROW.fullmatch(row)
        if found is None:
            if not _OTHER.fullmatch(row):
                return None
            continue
        severity = _severity(found["message"])
        errors, warnings = errors + (severity == "error"), warnings + (severity == "warning")
    return errors, warnings


def _severity(message: str) -> str:
    if pylint := _PYLINT.match(message):
        return {"E": "error", "F": "error", "I": "note"}.get(pylint["category"], "warning")
    if mypy := _MYPY.match(message):
        return mypy["severity"]
    return "error"
