"""Settings of a test process at its start that reduce the overhead of the tests."""

import asyncio
import gc
import os
import ssl
import sys
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import httpx
import uvicorn.server
from httpx._transports import default as transports

from cogo_dagster.queue.embedded.cluster import ENVIRONMENT

_LOOK_SECONDS: Final = 0.005

COUNT_OF_FROZEN: Final = gc.get_freeze_count
"""The function of the interpreter, which is replaced."""

_OBJECTS: Final = 20_000
"""How many objects are made between two collections: with Python's 700, a quarter of a web test's time goes there."""

_ALLOCATION: Final = {
    "MALLOC_TOP_PAD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
}
"""Settings of glibc for PostgreSQL: its processes spend a tenth of their time on memory that they returned before."""


def before_collection() -> None:
    """Prepare this process and the environment of its children."""
    _keep_bytecode()
    _end_servers_promptly()
    _read_authorities_once()
    ENVIRONMENT.update(_ALLOCATION)
    # jsonschema imports it for the format `iri`, which no schema here has; compiling its grammars takes two seconds.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    gc.disable()  # during the creation of a hundred thousand permanent objects


def after_collection() -> None:
    """Exclude permanent objects from garbage collection."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)
    # Every worker asks whether there are any; counting a million of them takes up to 80 ms.
    vars(gc)["get_freeze_count"] = lambda: 1


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


def _read_authorities_once() -> None:
    """Every client of httpx reads them again, in 20 ms of CPU time, and thousands of tests create clients."""
    create = httpx.create_ssl_context

    @cache
    def kept(trust_env: bool, *named: str | None) -> ssl.SSLContext:
        return create(trust_env=trust_env)

    def create_ssl_context(
        verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True
    ) -> ssl.SSLContext:
        if verify is not True or cert is not None:
            return create(verify, cert, trust_env)
        return kept(trust_env, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))

    vars(transports)["create_ssl_context"] = create_ssl_context
