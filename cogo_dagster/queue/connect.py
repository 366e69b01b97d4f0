"""Opens Postgres connections on which every wait has a timeout."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import AdaptContext, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import _WaitTimeout  # the only exception by which psycopg reports the timeout of a wait
from psycopg.rows import TupleRow

from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, error_from_sqlstate
from cogo_dagster.queue.limits import CONNECT_SECONDS, REPLY_SECONDS, limited
from cogo_dagster.queue.threads import within

T = TypeVar("T")

_SOCKET: Final = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(REPLY_SECONDS * 1000),
}

# libpq has no SQLSTATE for a failed login. Messages in other languages or of other poolers count as unavailable.
_LOGIN_REJECTED: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role \".*\" does not exist|not permitted to log in"
    r"|permission denied for database|no such user|Tenant or user not found",
    re.IGNORECASE,
)


class Connection(psycopg.Connection[TupleRow]):
    """A connection that the client closes if a reply does not arrive in time.

    This covers a dead peer as well as one that is unresponsive behind a proxy that keeps the TCP connection open.

    Attributes:
        wait_seconds: Timeout of the reply to one statement.
        own_timeout: The session's statement_timeout before it was set; None if it was not set.
    """

    wait_seconds: float = REPLY_SECONDS
    own_timeout: str | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for a reply, at most `wait_seconds`; for other events, until the caller's timeout."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.wait_seconds)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no response within {self.wait_seconds:.2g} s") from None


def connect(
    dsn: str, *, wait_seconds: float | None = None, context: AdaptContext | None = None, **options: Any
) -> Connection:
    """Connect in autocommit mode within 5 s, including name resolution and all addresses of the server.

    Args:
        dsn: libpq connection string or URL; never included in an error, since it contains a password.
        wait_seconds: Timeout of the reply to each statement; by default 10 s, or the caller's `call_limit` if shorter.
        context: Adapters for reading values.
        options: Further libpq parameters, such as `application_name`.

    Raises:
        DatabaseUnavailable: The server cannot be reached; the message has the reason and what to do.
        AccessDenied: The server rejects the login.
    """
    seconds = limited(CONNECT_SECONDS)
    settings = {"connect_timeout": max(2, round(seconds)), **_SOCKET, **options}
    try:
        connection = within(
            seconds,
            lambda: Connection.connect(dsn, autocommit=True, context=context, **settings),
            lambda late: late.close(),
        )
    except psycopg.ProgrammingError:
        raise DatabaseUnavailable(
            "COGO_DATABASE_URL is not a Postgres address: write it as postgresql://user:password@host:5432/database."
        ) from None
    except psycopg.Error as error:
        if _has_open_at_sign(dsn):  # the driver's message has the rest of the password
            raise DatabaseUnavailable(
                "COGO_DATABASE_URL has an @ in its user or password: write it there as %40."
            ) from None
        raise _connect_error(first_line(error)) from None
    except TimeoutError:
        raise _connect_error(f"no response within {seconds:.2g} s") from None
    except Exception as error:  # no threads, file descriptors or memory left
        raise _connect_error(first_line(error)) from error
    connection.wait_seconds = wait_seconds or limited(REPLY_SECONDS)
    return connection


@contextmanager
def connected(dsn: str, *, wait_seconds: float | None = None, **options: Any) -> Iterator[Connection]:
    """Open a connection as `connect` does, and close it at the end.

    Raises:
        QueueError: The connection cannot be opened, it broke, or a statement in the context failed.
    """
    with closing(connect(dsn, wait_seconds=wait_seconds, **options)) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise translated(error) from error


def translated(error: psycopg.Error) -> QueueError:
    """Return the queue's error for an error of psycopg, for callers that do not retry."""
    diag = error.diag
    return error_from_sqlstate(error.sqlstate or "08", diag.message_primary or first_line(error), diag.message_detail)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, without a trailing full stop."""
    return str(error).strip().split("\n", 1)[0].rstrip(".")


def _has_open_at_sign(dsn: str) -> bool:
    """Whether a host contains an @, since the address was split at an earlier one. An abstract socket begins with @."""
    return any("@" in host[1:] for host in str(conninfo_to_dict(dsn).get("host") or "").split(","))


def _connect_error(reason: str) -> QueueError:
    if _LOGIN_REJECTED.search(reason):
        return AccessDenied(f"The database rejected the login ({reason}): check COGO_DATABASE_URL.")
    return DatabaseUnavailable(
        f"The database cannot be reached ({reason}): check COGO_DATABASE_URL and that the server runs."
    )
