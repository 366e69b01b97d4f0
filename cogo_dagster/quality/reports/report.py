"""A report: its files, its numbers and its artifact."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.quality.reports import files as report_files
from cogo_dagster.quality.reports.coverage import read_coverage
from cogo_dagster.quality.reports.encoding import decoded
from cogo_dagster.quality.reports.files import OtherFormat, ReportError, raise_error, read_bytes, read_text
from cogo_dagster.quality.reports.junit import read_junit
from cogo_dagster.quality.reports.lint import read_lint
from cogo_dagster.quality.reports.paths import ReportPaths, expand
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable

Reader = Callable[[Sequence[tuple[Path, str]]], tuple[dict[str, Json], list[str]]]

KINDS: Final[Mapping[str, Reader]] = {"eslint": read_lint, "coverage": read_coverage, "junit": read_junit}
"""The kinds of reports of a gate run."""

_TYPES: Final = {"json": "application/json", "xml": "application/xml", "zip": "application/zip"}
_KEPT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class GateReport:
    """A report.

    Attributes:
        kind: `eslint` (also for other linters), `coverage` or `junit`.
        paths: Its files.
        facts: Its values for columns of a gate run; empty if it could not be read.
        notes: Messages about the parts that could not be read.
        extension: The file extension of its artifact, determined by the content.
    """

    kind: str
    paths: tuple[Path, ...]
    facts: Mapping[str, Json]
    extension: str
    notes: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """MIME type."""
        return _TYPES.get(self.extension, "text/plain")

    def content(self) -> bytes:
        """Return the bytes to store: the file, a ZIP archive of several files, or the start of a file too large."""
        if self.extension != "zip":
            return _content(self.paths[0]) if self.paths else b""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            for number, path in enumerate(self.paths):
                entry = zipfile.ZipInfo(
                    f"{number + 1:05d}-{report_files.safe_name(path)}"
                )  # without timestamps, for identical bytes
                entry.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(entry, _content(path))
        return archive.getvalue()


def read_report(kind: str, paths: ReportPaths) -> GateReport:
    """Read a report, which may have several files.

    Args:
        kind: eslint, coverage or junit.
        paths: See `paths.expand`.

    Raises:
        ReportError: The report cannot be read.
    """
    found = expand(kind, paths)
    texts: list[tuple[Path, str]] = []
    characters = 0
    for path, named in found:
        text = _text_of(kind, path, alone=named or len(found) == 1)
        if text is not None:
            texts.append((path, text))
            characters += len(text)
        if characters > report_files.MAX_BYTES:
            raise_error(
                path, f"exceeds the total limit of {report_files.MAX_BYTES // 2**20} MiB: make the report smaller"
            )
    if not texts:
        raise_error(_first(paths), f"has no {kind} report among its files: name the files")
    facts, notes = KINDS[kind](texts)
    read = tuple(path for path, _ in texts)
    return GateReport(kind, read, facts, _extension(texts[0][1], len(read)), tuple(notes))


def attempt_report(kind: str, paths: ReportPaths) -> GateReport:
    """Read a report; on an error return a report with its files and a note, without facts."""
    try:
        return read_report(kind, paths)
    except Exception as error:  # noqa: BLE001 - an invalid report must not prevent recording the run
        known = isinstance(error, ReportError)
        reason = (
            str(error) if known else f"The report {report_files.safe_name(_first(paths))} cannot be read ({error!r})."
        )
        kept = tuple(path for path in _existing(kind, paths) if _content(path))
        start = decoded(_content(kept[0])[:4_000]) if kept else ""
        note = storable(f"report unread: {reason}")
        return GateReport(kind, kept, {}, _extension(start, len(kept)), (note[:1_000],))


def _text_of(kind: str, path: Path, *, alone: bool) -> str | None:
    """Return a file's text, or None for a file with another format in a folder."""
    text = read_text(path)
    if alone:
        return text
    try:
        KINDS[kind]([(path, text)])
    except OtherFormat:
        return None
    except ReportError:
        pass  # raised once all files are read: a file without measured lines is valid among others
    return text


def _existing(kind: str, paths: ReportPaths) -> list[Path]:
    try:
        return [path for path, _ in expand(kind, paths)]
    except (ReportError, OSError, ValueError):
        return []


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except ReportError:
        try:
            if not path.is_file():
                return b""
            with path.open("rb") as opened:
                return opened.read(_KEPT_BYTES)
        except (OSError, ValueError):
            return b""


def _extension(text: str, count: int) -> str:
    if count > 1:
        return "zip"
    return {"<": "xml", "{": "json", "[": "json"}.get(text.lstrip("\ufeff \t\r\n")[:1], "txt")


def _first(paths: ReportPaths) -> Path:
    if isinstance(paths, Path):
        return paths
    return _first(paths[0]) if paths else Path("report")
