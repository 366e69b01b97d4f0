"""Start Playwright's driver, and with it the browser, without the worker's environment.

Playwright copies all of `os.environ` into its driver and has no option for it, but starts whatever program
`PLAYWRIGHT_NODEJS_PATH` names. That is a script of ours which keeps an allow-list of variables and becomes a guard,
which starts Node.js in a session of its own, notes its process id, and ends what is left when it or the worker has
ended. If it has not run, the browser is refused.
"""

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.browser.node import node_program
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.guard import words
from cogo_dagster.queue.folders import LockedFolder, sweep_folders

PREFIX = "cogo-browser-"
PID_FILE = "driver.pid"
GRACE_SECONDS = 1.0
"""How long the driver may take to close its browser once the worker is dead."""


def process_exists(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def scratch_folder() -> LockedFolder:
    """Make a private folder for the profile and all that a killed browser would leave behind; blocks.

    What dead workers left is removed. Chromium puts a socket in the folder, whose path may have 104 bytes; macOS's own
    TMPDIR is too long for that.
    """
    temporary = tempfile.gettempdir()
    base = Path(temporary if len(temporary) <= 30 else "/tmp")  # noqa: S108 - it is made private
    sweep_folders(PREFIX, base, budget_seconds=2.0)
    return LockedFolder.make(PREFIX, base)


@contextlib.contextmanager
def clean_driver(scratch: Path) -> Iterator[None]:
    """Let Playwright start its driver through our script.

    Raises:
        ExecutorUnavailable: Programs cannot be run from the folder.
        OSError: The script cannot be written.
    """
    # Debian's Chromium keeps its crash reports in the home folder, whatever its profile.
    own = {"TMPDIR": str(scratch), "BREAKPAD_DUMP_LOCATION": str(scratch)}
    variables = clean_environment(os.environ) | own
    assignments = " ".join(shlex.quote(f"{name}={value}") for name, value in variables.items())
    guarded = words(
        [node_program()],
        worker_pid=os.getpid(),
        grace_seconds=GRACE_SECONDS,
        pid_file=str(scratch / PID_FILE),
        remove=str(scratch),
    )
    script = scratch / "driver"
    script.write_text(f'#!/bin/sh\nexec env -i {assignments} {shlex.join(guarded)} "$@"\n')
    script.chmod(0o700)
    if not os.access(script, os.X_OK):
        raise ExecutorUnavailable(
            f"Playwright's driver does not start, since no program can be run from {scratch.parent} (mounted with "
            "noexec): set TMPDIR to a folder that allows it."
        )
    before = os.environ.get("PLAYWRIGHT_NODEJS_PATH")
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(script)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PLAYWRIGHT_NODEJS_PATH"]
        else:
            os.environ["PLAYWRIGHT_NODEJS_PATH"] = before


def noted_pid(scratch: Path) -> int:
    """Return the process id of the driver that was started through our script.

    Raises:
        ExecutorUnavailable: It was not, so that it has the worker's environment.
    """
    try:
        return int((scratch / PID_FILE).read_text())
    except (OSError, ValueError):
        raise ExecutorUnavailable(
            "This Playwright does not start its driver through PLAYWRIGHT_NODEJS_PATH, so that the browser would see "
            "the worker's secrets: install the version this project names."
        ) from None
