"""How long a call may take in all. Whoever must answer sooner says so for what is called meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

STATEMENT_SECONDS: Final = 8
"""One call fits in it at the database: what a hosted Supabase project allows."""

ANSWER_SECONDS: Final = 10.0
"""Wait for the answer to one statement; then the connection is finished."""

CONNECT_SECONDS: Final = 5.0
"""To find a server and log in, all its addresses together."""

CALL_SECONDS: Final = 25.0
"""One call of a transport with all its tries and pauses."""

_limit: ContextVar[float | None] = ContextVar("call_limit_seconds", default=None)


@contextmanager
def call_limit(seconds: float) -> Iterator[None]:
    """Let each connect, each try and each whole call made in here end within so many seconds."""
    before = _limit.set(seconds)
    try:
        yield
    finally:
        _limit.reset(before)


def limited(seconds: float) -> float:
    """Return a limit, or the caller's own where that is lower."""
    limit = _limit.get()
    return seconds if limit is None or limit > seconds else limit
