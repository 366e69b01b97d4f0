"""The files of a report: one file, the files in a folder, or those that match a pattern."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports.files import raise_error

ReportPaths = Path | Sequence[Path | Sequence[Path]]
"""The files of one report. An inner sequence is the expansion of a folder or pattern: its files with other formats
are skipped."""

MAX_FILES: Final = 10_000
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "eslint": (".json", ".sarif", ".xml", ".gz"),
    "coverage": (".json", ".xml", ".info", ".lcov", ".out", ".gz"),
    "junit": (".xml", ".gz"),
}


def expand(kind: str, given: ReportPaths) -> list[tuple[Path, bool]]:
    """Return the files without duplicates, in the order given, and whether each was named explicitly.

    Args:
        kind: eslint, coverage or junit.
        given: Files, folders, patterns such as `build/**/TEST-*.xml`; a missing file is returned unchanged.

    Raises:
        ReportError: A folder or a pattern has no such file, or there are too many.
    """
    found: dict[Path, tuple[Path, bool]] = {}
    for one in [given] if isinstance(given, Path) else given:
        for path, named in _files(kind, one) if isinstance(one, Path) else [(path, False) for path in one]:
            found.setdefault(path.resolve(), (path, named))
            if len(found) > MAX_FILES:
                raise_error(path, f"exceeds the limit of {MAX_FILES:,} files: name fewer files")
    return list(found.values())


def _files(kind: str, given: Path) -> Iterable[tuple[Path, bool]]:
    if given.is_dir():
        found = [path for path in sorted(given.rglob("*")) if path.suffix.lower() in _NAMES[kind] and path.is_file()]
        if not found:
            raise_error(given, f"is a folder without {' or '.join(_NAMES[kind])} files: name the files")
        return [(path, False) for path in found]
    if given.exists() or not glob.has_magic(str(given)):
        return [(given, True)]
    matching = [path for path in map(Path, sorted(glob.glob(str(given), recursive=True))) if path.is_file()]  # noqa: PTH207 - the pattern may be absolute
    if not matching:
        raise_error(given, "matches no file: correct the pattern")
    return [(path, False) for path in matching]
