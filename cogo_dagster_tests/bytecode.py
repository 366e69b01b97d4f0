"""The bytecode of the tests and of what they import: several processes that start at once would all compile it."""

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from cogo_dagster.settings import PROJECT_ROOT

_LAST: Final = Path(__file__).with_name("test_troubleshooting.py")
"""A module that is collected late, so that its bytecode exists only after a complete collection."""


def is_compiled() -> bool:
    """Whether a complete collection has written the bytecode."""
    cached = Path(cache_from_source(str(_LAST)))
    return any(cached.parent.glob(f"{_LAST.stem}.{sys.implementation.cache_tag}-pytest-*.pyc"))


def compile_tests() -> None:
    """Collect the tests in another process. Errors are reported by the run itself."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, check=False)
