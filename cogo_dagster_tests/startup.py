"""Settings of a test process at its start that reduce the overhead of the tests."""

import asyncio
import gc
import os
import sys
from types import SimpleNamespace
from typing import Any, Final

import uvicorn.server

_LOOK_SECONDS: Final = 0.005


def before_collection() -> None:
    """Prepare this process and the environment of its children."""
    _keep_bytecode()
    _end_servers_promptly()
    # jsonschema imports it for the format `iri`, which no schema here has; compiling its grammars takes two seconds.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    gc.disable()  # during the creation of a hundred thousand permanent objects


def after_collection() -> None:
    """Exclude permanent objects from garbage collection."""
    gc.enable()
    gc.freeze()


def _keep_bytecode() -> None:
    """Write bytecode regardless of the caller's settings, since the tests start hundreds of processes."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class _Asyncio(SimpleNamespace):
    """The module as uvicorn sees it, with shorter sleeps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep for a short time; all sleeps of uvicorn's server are in polling loops."""
        await asyncio.sleep(min(seconds, _LOOK_SECONDS))


def _end_servers_promptly() -> None:
    """Make uvicorn, which polls ten times a second whether to stop, poll more often."""
    vars(uvicorn.server)["asyncio"] = _Asyncio()
