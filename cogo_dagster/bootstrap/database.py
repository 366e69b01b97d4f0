"""Selects the database by the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.migrate import migrate
from cogo_dagster.settings import Settings, SettingsError

if TYPE_CHECKING:
    from cogo_dagster.queue.supabase.project import Project


@contextmanager
def open_embedded_database(settings: Settings, *, keep: bool = False, idle_seconds: float = 0) -> Iterator[str]:
    """Start and migrate the embedded database, and yield its connection string.

    Args:
        keep: Keep the server running until it is stopped.
        idle_seconds: Keep the server running for this long after its last user.
    """
    with embedded_server(settings).running(keep=keep, idle_seconds=idle_seconds) as server:
        dsn = server.dsn()
        migrate(dsn)
        yield dsn


def own_dsn(settings: Settings) -> str:
    """Return COGO_DATABASE_URL.

    Raises:
        SettingsError: COGO_DATABASE_URL is not set, so that the database is accessible over REST only.
    """
    if settings.database_url is None:
        raise SettingsError(
            "This command needs a connection to the database, which SUPABASE_URL does not provide: set "
            "COGO_DATABASE_URL to the Postgres connection string of the project."
        )
    return settings.database_url.get_secret_value()


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the embedded server without starting it."""
    return EmbeddedServer(settings.home)


def dagster_storage_url(settings: Settings) -> str:
    """Return the SQLAlchemy URL of Dagster's storage: DAGSTER_POSTGRES_URL, or the embedded server.

    The URL names the driver, because SQLAlchemy 2.1 uses psycopg 3 for `postgresql://`, with which Dagster's NOTIFY
    with a bound parameter fails at the first event of every run.

    Raises:
        SettingsError: DAGSTER_POSTGRES_URL is not a Postgres URL.
    """
    if settings.dagster_postgres_url is None:
        return embedded_server(settings).dsn("dagster", scheme="postgresql+psycopg2")
    scheme, _, rest = settings.dagster_postgres_url.get_secret_value().partition("://")
    if not rest or scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise SettingsError(
            "DAGSTER_POSTGRES_URL is not a Postgres URL: use postgresql://user:password@host:5432/dagster."
        )
    return f"postgresql+psycopg2://{rest}"


def supabase_project(settings: Settings) -> "Project":
    """Return the Supabase project of the settings."""
    from cogo_dagster.queue.supabase.project import checked_project  # noqa: PLC0415 - imports an HTTP client

    key = settings.supabase_service_role_key
    return checked_project(str(settings.supabase_url), key.get_secret_value() if key else "")


def without_password(dsn: str) -> str:
    """Return a connection string without password, for output."""
    parts = urlsplit(dsn)
    if not parts.scheme:
        parameters = conninfo_to_dict(dsn)
        return make_conninfo("", **{name: value for name, value in parameters.items() if "password" not in name})
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=""))
