"""Opening a Postgres connection on which every wait ends, with one clear sentence when it cannot be had."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import AdaptContext, PQGen
from psycopg.errors import _WaitTimeout  # psycopg's own raises it, and tells no other exception of a wait's timeout
from psycopg.rows import TupleRow

from cogo_dagster.queue.errors import AccessDenied, DatabaseUnavailable, QueueError, error_from_sqlstate
from cogo_dagster.queue.limits import ANSWER_SECONDS, CONNECT_SECONDS, limited
from cogo_dagster.queue.threads import within

T = TypeVar("T")

_SOCKET: Final = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_SECONDS * 1000),
}

# libpq gives no SQLSTATE of a refused login. Other languages and poolers' own words count as "not for now".
_REFUSED: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role \".*\" does not exist|not permitted to log in"
    r"|permission denied for database|no such user|Tenant or user not found",
    re.IGNORECASE,
)


class Connection(psycopg.Connection[TupleRow]):
    """A connection that is finished by the client when an answer does not come in time.

    Whether the peer is dead, or silent behind a proxy that keeps the TCP connection, makes no difference.

    Attributes:
        wait_seconds: For the answer to one statement.
        own_timeout: The server's statement_timeout for this session, before we set one; None where we set none.
    """

    wait_seconds: float = ANSWER_SECONDS
    own_timeout: str | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer, at most `wait_seconds`; for less than an answer, as long as the caller says."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.wait_seconds)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.wait_seconds:.2g} s") from None


def connect(
    dsn: str, *, wait_seconds: float | None = None, context: AdaptContext | None = None, **options: Any
) -> Connection:
    """Connect in autocommit mode within 5 s, whatever the name server and each of the server's addresses do.

    Args:
        dsn: libpq connection string or URL; never quoted in an error, since it holds a password.
        wait_seconds: For the answer to each statement, instead of 10 s or the caller's `call_limit`.
        context: How values are read.
        options: Further libpq parameters, such as `application_name`.

    Raises:
        DatabaseUnavailable: One sentence with the server's reason and what to do.
        AccessDenied: The server refuses the login.
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
        raise _refusal(first_line(error)) from None
    except TimeoutError:
        raise _refusal(f"no answer within {seconds:.2g} s") from None
    except Exception as error:  # no threads left, no files, no memory
        raise _refusal(first_line(error)) from error
    connection.wait_seconds = wait_seconds or limited(ANSWER_SECONDS)
    return connection


@contextmanager
def connected(dsn: str, *, wait_seconds: float | None = None, **options: Any) -> Iterator[Connection]:
    """Lend a connection as `connect` opens it, and close it.

    Raises:
        QueueError: There is none, it broke, or the database refused a statement in here.
    """
    with closing(connect(dsn, wait_seconds=wait_seconds, **options)) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise translated(error) from error


def translated(error: psycopg.Error) -> QueueError:
    """Return what an error of psycopg means, for those who do not repeat."""
    diag = error.diag
    return error_from_sqlstate(error.sqlstate or "08", diag.message_primary or first_line(error), diag.message_detail)


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without its full stop."""
    return str(error).strip().split("\n", 1)[0].rstrip(".")


def _refusal(reason: str) -> QueueError:
    if _REFUSED.search(reason):
        return AccessDenied(f"The database refuses the login ({reason}): check COGO_DATABASE_URL.")
    return DatabaseUnavailable(
        f"The database cannot be reached ({reason}): check COGO_DATABASE_URL and that the server runs."
    )
