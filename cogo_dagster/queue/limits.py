"""Timeouts of calls. `call_limit` sets a shorter one for everything that is called in a context."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

STATEMENT_SECONDS: Final = 8
"""Timeout of one call in the database: the limit of a hosted Supabase project."""

REPLY_SECONDS: Final = 10.0
"""Timeout of the reply to one statement; then the connection is closed."""

CONNECT_SECONDS: Final = 5.0
"""Timeout of a connect and login, over all addresses of the server."""

CALL_SECONDS: Final = 25.0
"""Timeout of one call of a transport, including retries and pauses."""

_limit: ContextVar[float | None] = ContextVar("call_limit_seconds", default=None)


@contextmanager
def call_limit(seconds: float) -> Iterator[None]:
    """Limit each connect, each attempt and each whole call in this context to `seconds`."""
    before = _limit.set(seconds)
    try:
        yield
    finally:
        _limit.reset(before)


def limited(seconds: float) -> float:
    """Return the limit, or the context's if that is lower."""
    limit = _limit.get()
    return seconds if limit is None or limit > seconds else limit
