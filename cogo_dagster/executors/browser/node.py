"""The Node.js that runs Playwright's driver."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cogo_dagster.executors.browser.advice import library_command, missing_library
from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.errors import ExecutorUnavailable

_START_TIMEOUT_SECONDS: Final = 60
_OTHERWISE: Final = "or set PLAYWRIGHT_NODEJS_PATH to another Node.js"


def node_program() -> str:
    """Return the program that PLAYWRIGHT_NODEJS_PATH names, or Playwright's own Node.js."""
    spec = find_spec("playwright")
    folders = (spec.submodule_search_locations or []) if spec else []
    bundled = [str(path) for path in (Path(folder) / "driver" / "node" for folder in folders) if path.is_file()]
    return os.environ.get("PLAYWRIGHT_NODEJS_PATH") or next(iter(bundled), "node")


def check_node() -> None:
    """Check that Node.js runs, before anything that depends on it.

    Raises:
        ExecutorUnavailable: Node.js does not run; the message states what is missing and how to install it.
    """
    node = node_program()
    try:
        done = subprocess.run(  # noqa: S603 - Playwright's own program, or the operator's
            [node, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_TIMEOUT_SECONDS,
            env=clean_environment(os.environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExecutorUnavailable(_message(node, f"no output within {_START_TIMEOUT_SECONDS} s")) from None
    except OSError as error:
        raise ExecutorUnavailable(_message(node, error.strerror or str(error))) from None
    if done.returncode:
        raise ExecutorUnavailable(_message(node, done.stderr.strip() or f"exit code {done.returncode}"))


def _message(node: str, output: str) -> str:
    begin = f"Playwright's driver does not start: its Node.js ({node}) does not run"
    library = missing_library(output)
    if library:
        return f"{begin}, since the library {library} is missing. Run `{library_command(library)}`, {_OTHERWISE}."
    return f"{begin} ({output.splitlines()[-1]}). Reinstall Playwright, {_OTHERWISE}."
