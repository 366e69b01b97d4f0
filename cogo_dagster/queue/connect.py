"""Opening a Postgres connection, with one clear sentence when it cannot be had."""

from typing import Any

import psycopg
from psycopg.rows import TupleRow

from cogo_dagster.queue.errors import DatabaseUnavailable


def connect(dsn: str, **options: Any) -> psycopg.Connection[TupleRow]:
    """Connect in autocommit mode within 5 s.

    Args:
        dsn: libpq connection string or URL; never quoted in an error, since it holds a password.
        options: Further libpq parameters, such as `application_name`.

    Raises:
        DatabaseUnavailable: One sentence with the server's reason and what to do.
    """
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=5, **options)
    except psycopg.ProgrammingError:
        raise DatabaseUnavailable(
            "COGO_DATABASE_URL is not a Postgres address: write it as postgresql://user:password@host:5432/database."
        ) from None
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"The database cannot be reached ({first_line(error)}): check COGO_DATABASE_URL and that the server runs."
        ) from None


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without its full stop."""
    return str(error).strip().split("\n", 1)[0].rstrip(".")
