"""Wrong clocks of worker processes, by libfaketime, which reads the time from a file.

Only the wall clock is wrong. The monotonic clock does not jump on any system; if libfaketime 0.9.10 changes it too,
waits of Python's threads break, and if it does not, `time.sleep` breaks, which `PATCH` repairs.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from cogo_dagster_tests.programs import missing, required

_RIGHT: Final = "+0"
SPECIFICATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "clock ahead": ("+45m",),
    "clock behind": ("-45m",),
    "clock fast": ("+0 x3",),
    "clock jumps": ("+1d", "-1d", "+10", "-10"),
}
"""The possible file contents of each fault."""

PATCH: Final = """import select, time

def _sleep(seconds):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)

time.sleep = _sleep
"""
"""The module `sitecustomize` of processes under libfaketime."""


@cache
def library() -> Path:
    """Return the library to preload; installed if this is root on Debian."""
    [program] = required("faketime")
    # Relative to the program: <prefix>/lib/<triple>/faketime on Debian, <prefix>/lib/faketime elsewhere.
    libraries = (Path(program).resolve().parent.parent / "lib").glob("**/faketime/libfaketimeMT.so.1")
    return next(iter(libraries), None) or missing("libfaketimeMT.so.1", "install Debian's package libfaketime")


def sweep() -> None:
    """Remove the shared memory of killed processes that used libfaketime."""
    for path in Path("/dev/shm").glob("*faketime_s*_*"):
        pid = path.name.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


class Clock:
    """The clock of one worker process and its successors."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.say(_RIGHT)

    def environment(self) -> dict[str, str]:
        """Return the environment of a process with this clock."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # By default, 0.9.10 ends each wait for the GIL at once, so that threads use the CPU while they wait.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def say(self, specification: str) -> None:
        """Change the time within a second; the file is replaced atomically."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{specification}\n")
        new.replace(self._file)

    def correct(self) -> None:
        """Correct the clock."""
        self.say(_RIGHT)
