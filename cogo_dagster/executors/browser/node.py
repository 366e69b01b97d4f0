"""The Node.js that runs Playwright's driver: which one, and whether it runs here."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cogo_dagster.executors.browser.advice import library_command, missing_library
from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.errors import ExecutorUnavailable

_START_SECONDS: Final = 60
_OTHERWISE: Final = "or set PLAYWRIGHT_NODEJS_PATH to another Node.js"


def node_program() -> str:
    """Return Playwright's own Node.js, or the one the operator named."""
    spec = find_spec("playwright")
    folders = (spec.submodule_search_locations or []) if spec else []
    bundled = [str(path) for path in (Path(folder) / "driver" / "node" for folder in folders) if path.is_file()]
    return os.environ.get("PLAYWRIGHT_NODEJS_PATH") or next(iter(bundled), "node")


def check_node() -> None:
    """Run Node.js once, before anything that depends on it.

    Raises:
        ExecutorUnavailable: It does not run; the sentence says what is missing and how to get it.
    """
    node = node_program()
    try:
        done = subprocess.run(  # noqa: S603 - Playwright's own program, or the operator's
            [node, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_SECONDS,
            env=clean_environment(os.environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExecutorUnavailable(_sentence(node, f"it said nothing for {_START_SECONDS} s")) from None
    except OSError as error:
        raise ExecutorUnavailable(_sentence(node, error.strerror or str(error))) from None
    if done.returncode:
        raise ExecutorUnavailable(_sentence(node, done.stderr.strip() or f"exit code {done.returncode}"))


def _sentence(node: str, said: str) -> str:
    begin = f"Playwright's driver does not start, since its Node.js ({node}) does not run"
    library = missing_library(said)
    if library:
        return f"{begin}: the library {library} is missing: run `{library_command(library)}`, {_OTHERWISE}."
    return f"{begin}: {said.splitlines()[-1]}: install Playwright again, {_OTHERWISE}."
