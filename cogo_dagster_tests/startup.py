"""Settings of a test process at its start that reduce the overhead of the tests."""

import asyncio
import gc
import os
import ssl
import sys
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import httpx
import uvicorn.server
from httpx._transports import default as transports

from cogo_dagster.queue.embedded.cluster import ENVIRONMENT

_LOOK_SECONDS: Final = 0.005
_DATE_SECONDS: Final = 1.0

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
    """Wake a server of uvicorn when it is to stop; it would look ten times a second.

    Some servers of the tests run for as long as their process: looking every 5 ms takes two percent of a core.
    """
    vars(uvicorn.server)["asyncio"] = _Asyncio()  # for the loops of its end
    server: Any = uvicorn.Server
    server.should_exit = property(lambda self: vars(self)["should_exit"], _set_should_exit)
    server.main_loop = _main_loop


def _set_should_exit(server: uvicorn.Server, value: bool) -> None:
    vars(server)["should_exit"] = value
    if wake := vars(server).get("wake"):
        with suppress(RuntimeError):  # its loop has ended
            wake()


async def _main_loop(server: uvicorn.Server) -> None:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    vars(server)["wake"] = lambda: loop.call_soon_threadsafe(changed.set)
    while not await server.on_tick(0):  # sets the header Date
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _DATE_SECONDS)


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
