"""Operations of COGO Agent Core: a Postgres job queue with fenced leases, as a Dagster project.

The names below and `cogo_dagster.testing`, for tests of executors, are the public API. Everything else may change
without notice. Each name is imported at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cogo_dagster.bootstrap import open_queue
    from cogo_dagster.dagster_support.browser_job import BrowserJob
    from cogo_dagster.dagster_support.cogo_queue import CogoQueue
    from cogo_dagster.executors.errors import ExecutorUnavailable
    from cogo_dagster.queue.executor import (
        ExecutionFailed,
        Executor,
        ExecutorContext,
        InvalidPayload,
        Snooze,
    )
    from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job, NewJob
    from cogo_dagster.queue.workspace import Workspace

    __version__: str

__all__ = [
    "ArtifactFile",
    "BrowserJob",
    "CogoQueue",
    "ExecutionFailed",
    "ExecutionResult",
    "Executor",
    "ExecutorContext",
    "ExecutorUnavailable",
    "InvalidPayload",
    "Job",
    "NewJob",
    "Snooze",
    "Workspace",
    "__version__",
    "open_queue",
]

_MODULES: Final = {
    "ArtifactFile": "cogo_dagster.queue.model",
    "BrowserJob": "cogo_dagster.dagster_support.browser_job",
    "CogoQueue": "cogo_dagster.dagster_support.cogo_queue",
    "ExecutionFailed": "cogo_dagster.queue.executor",
    "ExecutionResult": "cogo_dagster.queue.model",
    "Executor": "cogo_dagster.queue.executor",
    "ExecutorContext": "cogo_dagster.queue.executor",
    "ExecutorUnavailable": "cogo_dagster.executors.errors",
    "InvalidPayload": "cogo_dagster.queue.executor",
    "Job": "cogo_dagster.queue.model",
    "NewJob": "cogo_dagster.queue.model",
    "Snooze": "cogo_dagster.queue.executor",
    "Workspace": "cogo_dagster.queue.workspace",
    "open_queue": "cogo_dagster.bootstrap",
}


def __getattr__(name: str) -> Any:
    """Import a public name at first use, because importing Dagster takes two seconds."""
    if name == "__version__":
        return import_module("cogo_dagster.release").code_version()
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion and for `dg`, which searches them for components."""
    return sorted({*globals(), *__all__})
