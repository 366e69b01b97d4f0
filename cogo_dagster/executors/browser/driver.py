"""Start Playwright's driver, and with it the browser, without the worker's environment.

Playwright copies all of `os.environ` into its driver and has no option to change that, but it starts the program
that `PLAYWRIGHT_NODEJS_PATH` names. Here the program is a script that keeps an allow-list of variables and executes the
guard. The guard starts Node.js in its own session, writes its process id to a file, and ends all remaining processes
once Node.js or the worker has ended. If the script has not run, the browser is not used.
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
from cogo_dagster.executors.guard import guard_command
from cogo_dagster.queue.folders import LockedFolder, sweep_folders

PREFIX = "cogo-browser-"
PID_FILE = "driver.pid"
GRACE_SECONDS = 1.0
"""How long the driver may take to close its browser after the worker has ended."""


def process_exists(pid: int) -> bool:
    """Return whether the process exists; a zombie counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def scratch_folder() -> LockedFolder:
    """Create a private folder for the profile and everything else that a killed browser would leave behind. Blocks.

    Folders of dead workers are removed. Chromium creates a socket in the folder, and the path of a socket is limited to
    104 bytes; macOS's TMPDIR is too long for that.
    """
    temporary = tempfile.gettempdir()
    base = Path(temporary if len(temporary) <= 30 else "/tmp")  # noqa: S108 - the folder is private
    sweep_folders(PREFIX, base, budget_seconds=2.0)
    return LockedFolder.make(PREFIX, base)


@contextlib.contextmanager
def clean_driver(scratch: Path) -> Iterator[None]:
    """Make Playwright start its driver through the script, in this context.

    Raises:
        ExecutorUnavailable: Programs cannot be executed in the folder.
        OSError: The script cannot be written.
    """
    # Debian's Chromium keeps its crash reports in the home folder, not in its profile.
    own = {"TMPDIR": str(scratch), "BREAKPAD_DUMP_LOCATION": str(scratch)}
    variables = clean_environment(os.environ) | own
    assignments = " ".join(shlex.quote(f"{name}={value}") for name, value in variables.items())
    guarded = guard_command(
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
            f"Playwright's driver does not start: programs cannot be executed in {scratch.parent} (mounted with "
            "noexec). Set TMPDIR to another folder."
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


def read_driver_pid(scratch: Path) -> int:
    """Return the process id of the driver that was started through the script.

    Raises:
        ExecutorUnavailable: The driver was not started through the script, and has the worker's environment.
    """
    try:
        return int((scratch / PID_FILE).read_text())
    except (OSError, ValueError):
        raise ExecutorUnavailable(
            "This version of Playwright does not start its driver through PLAYWRIGHT_NODEJS_PATH, so the browser would "
            "have the worker's secrets: install the version that this project requires."
        ) from None
