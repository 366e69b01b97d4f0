"""What a process that runs tests does at its start, so that less time is spent beside the tests."""

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

_LOOK_SECONDS: Final = 0.005

_OBJECTS: Final = 20_000
"""How many objects are made between two collections: with Python's 700, a quarter of a web test's time goes there."""


def before_collection() -> None:
    """Prepare this process, and by its environment those that it starts."""
    _keep_bytecode()
    _end_servers_promptly()
    _read_authorities_once()
    # jsonschema imports it for the format `iri`, which nothing here has, and it compiles grammars for two seconds.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    gc.disable()  # while a hundred thousand objects are made that stay


def after_collection() -> None:
    """Leave out of every later collection of garbage what will stay anyway."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)


def _keep_bytecode() -> None:
    """Whatever the caller says: the tests start hundreds of processes that import Dagster."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class _Asyncio(SimpleNamespace):
    """The module as uvicorn sees it, with short sleeps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep, but not for long: every sleep in uvicorn's server is one of a loop that looks again."""
        await asyncio.sleep(min(seconds, _LOOK_SECONDS))


def _end_servers_promptly() -> None:
    """Uvicorn looks ten times a second whether it shall end, and hundreds of tests start a server."""
    vars(uvicorn.server)["asyncio"] = _Asyncio()


def _read_authorities_once() -> None:
    """Every client of httpx reads them anew, in 20 ms of processor time, and thousands of tests make clients."""
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
