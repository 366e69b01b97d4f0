"""COGO Agent Core's operations system: a fenced Postgres job queue run as a Dagster project."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cogo_dagster.dagster_support.browser_job import BrowserJob
    from cogo_dagster.dagster_support.cogo_queue import CogoQueue
    from cogo_dagster.queue.model import NewJob

__all__ = ["BrowserJob", "CogoQueue", "NewJob"]

_MODULES = {
    "BrowserJob": "cogo_dagster.dagster_support.browser_job",
    "CogoQueue": "cogo_dagster.dagster_support.cogo_queue",
    "NewJob": "cogo_dagster.queue.model",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: Dagster alone takes two seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, which `dg` looks through for components."""
    return sorted({*globals(), *__all__})
