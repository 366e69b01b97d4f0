"""This machine: its disk, its browser, and what else a check only has to try."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning

Bad = Callable[[str, str, str], Finding]

_GIB: Final = 1024**3
_LEAST_BYTES: Final = _GIB
_SCARCE_BYTES: Final = 5 * _GIB


def check_disk(folder: Path, usage: Callable[[Path], int] | None = None) -> Iterator[Finding]:
    """Say how much room there is where the files go.

    Args:
        folder: It need not be there yet.
        usage: From a folder to its free bytes.
    """
    free_of = usage or (lambda place: shutil.disk_usage(place).free)
    place = next(place for place in (folder, *folder.parents) if place.exists())
    free = free_of(place)
    sentence = f"{free / _GIB:.1f} GiB are free for {folder}."
    advice = "Make room: `cogo cleanup artifacts` and `cogo purge jobs`, or set COGO_HOME to a larger disk."
    if free < _LEAST_BYTES:
        yield failed("disk", sentence, advice)
    elif free < _SCARCE_BYTES:
        yield warning("disk", sentence, advice)
    else:
        yield ok("disk", sentence)


def check_fonts(missing: Sequence[str], advice: str) -> Finding:
    """Say which scripts pages show as boxes.

    Args:
        missing: Scripts of which a glyph was rendered and looked like the missing-glyph box.
    """
    if missing:
        return warning("fonts", f"{', '.join(missing)} text is shown as boxes in screenshots and PDFs.", advice)
    return ok("fonts", "Latin, Greek, Cyrillic, Korean, Chinese, Japanese and emoji have glyphs.")


def attempt(
    check: str, work: Callable[[], str], expected: tuple[type[Exception], ...], advice: str, bad: Bad = failed
) -> Iterator[Finding]:
    """Try something that raises where it does not work, with its own sentence.

    Args:
        work: Returns the sentence of success.
        expected: What it raises; anything else is a bug.
        bad: How bad that is.
    """
    try:
        yield ok(check, work())
    except expected as error:
        yield bad(check, str(error), advice)
