"""Lets uvicorn's servers end at once: it looks ten times a second whether it shall, and hundreds of tests start one."""

import asyncio
from types import SimpleNamespace
from typing import Any

import uvicorn.server

_LOOK_SECONDS = 0.005


class _Asyncio(SimpleNamespace):
    """The module as uvicorn sees it, with short sleeps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep, but not for long: every sleep in uvicorn's server is one of a loop that looks again."""
        await asyncio.sleep(min(seconds, _LOOK_SECONDS))


def end_servers_promptly() -> None:
    """Shorten the sleeps of the servers of this process."""
    vars(uvicorn.server)["asyncio"] = _Asyncio()
