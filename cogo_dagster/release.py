"""Which release of the code runs."""

from functools import cache
from importlib.metadata import version


@cache
def code_version() -> str:
    """Return the release as its distribution's metadata has it."""
    return version("cogo-dagster")
