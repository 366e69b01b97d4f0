"""The release of this code."""

from functools import cache
from importlib.metadata import version


@cache
def code_version() -> str:
    """Return the version from the metadata of the distribution."""
    return version("cogo-dagster")
