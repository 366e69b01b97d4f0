"""The files of a report: a single file, the files in a folder, or the files that match a pattern."""

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


def expand(kind: str, paths: ReportPaths) -> list[tuple[Path, bool]]:
    """Return the files without duplicates, in the order given, and whether each was named explicitly.

    Args:
        kind: eslint, coverage or junit.
        paths: Files, folders, patterns such as `build/**/TEST-*.xml`; a missing file is returned unchanged.

    Raises:
        ReportError: A folder or a pattern has no report file, or there are too many files.
    """
    found: dict[Path, tuple[Path, bool]] = {}
    for entry in [paths] if isinstance(paths, Path) else paths:
        for path, named in _files(kind, entry) if isinstance(entry, Path) else [(path, False) for path in entry]:
            found.setdefault(path.resolve(), (path, named))
            if len(found) > MAX_FILES:
                raise_error(path, f"exceeds the limit of {MAX_FILES:,} files: name fewer files")
    return list(found.values())


def _files(kind: str, entry: Path) -> Iterable[tuple[Path, bool]]:
    if entry.is_dir():
        found = [path for path in sorted(entry.rglob("*")) if path.suffix.lower() in _NAMES[kind] and path.is_file()]
        if not found:
            raise_error(entry, f"is a folder without {' or '.join(_NAMES[kind])} files: name the files")
        return [(path, False) for path in found]
    if entry.exists() or not glob.has_magic(str(entry)):
        return [(entry, True)]
    matching = [path for path in map(Path, sorted(glob.glob(str(entry), recursive=True))) if path.is_file()]  # noqa: PTH207 - the pattern may be absolute
    if not matching:
        raise_error(entry, "matches no file: correct the pattern")
    return [(path, False) for path in matching]
