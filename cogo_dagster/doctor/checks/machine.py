"""Checks of this machine: free disk space and fonts. Also a helper for checks that call one function."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning

Bad = Callable[[str, str, str], Finding]

_GIB: Final = 1024**3
_MIN_BYTES: Final = _GIB
_LOW_BYTES: Final = 5 * _GIB


def check_disk(folder: Path, usage: Callable[[Path], int] | None = None) -> Iterator[Finding]:
    """Check the free disk space of a folder.

    Args:
        folder: A folder that need not exist.
        usage: Returns the free bytes of an existing folder.
    """
    free_of = usage or (lambda place: shutil.disk_usage(place).free)
    place = next(place for place in (folder, *folder.parents) if place.exists())
    free = free_of(place)
    message = f"{free / _GIB:.1f} GiB free for {folder}."
    advice = "Free disk space with `cogo cleanup artifacts` and `cogo purge jobs`, or move COGO_HOME to a larger disk."
    if free < _MIN_BYTES:
        yield failed("disk", message, advice)
    elif free < _LOW_BYTES:
        yield warning("disk", message, advice)
    else:
        yield ok("disk", message)


def check_fonts(missing: Sequence[str], advice: str) -> Finding:
    """Check that the browser has glyphs for all scripts.

    Args:
        missing: Scripts whose glyph was rendered as the missing-glyph box.
        advice: How to install fonts.
    """
    if missing:
        return warning(
            "fonts",
            f"Fonts are missing: {', '.join(missing)} text is shown as boxes in screenshots and PDFs.",
            advice,
        )
    return ok("fonts", "Fonts for Latin, Greek, Cyrillic, Korean, Chinese, Japanese and emoji are installed.")


def attempt(
    check: str, work: Callable[[], str], expected: tuple[type[Exception], ...], advice: str, bad: Bad = failed
) -> Iterator[Finding]:
    """Call a function, and turn an expected exception into a finding with its message.

    Args:
        check: Name of the check.
        work: Returns the message of success.
        expected: Exceptions that it raises; others are bugs.
        advice: What to do after an exception.
        bad: Makes the finding of an exception.
    """
    try:
        yield ok(check, work())
    except expected as error:
        yield bad(check, str(error), advice)
