"""Which database the settings choose, and how it is reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cogo_dagster.queue.embedded import EmbeddedServer
from cogo_dagster.queue.migrate import migrate, require_current
from cogo_dagster.settings import Settings, SettingsError

if TYPE_CHECKING:
    from cogo_dagster.queue.supabase.project import Project


@contextmanager
def open_database(settings: Settings, *, keep: bool = False) -> Iterator[str]:
    """Yield the DSN of the queue's database, started if it is the embedded one, at this release's schema."""
    if settings.uses_embedded_database:
        with embedded_server(settings).running(keep=keep) as server:
            dsn = server.dsn()
            migrate(dsn)
            yield dsn
    else:
        dsn = own_dsn(settings)
        require_current(dsn)
        yield dsn


def own_dsn(settings: Settings) -> str:
    """Return the DSN of the user's own database.

    Raises:
        SettingsError: Only REST keys are given, and what is asked needs a connection.
    """
    if settings.database_url is None:
        raise SettingsError(
            "SUPABASE_URL gives a REST address and no connection: set COGO_DATABASE_URL to the project's Postgres "
            "connection string for this."
        )
    return settings.database_url.get_secret_value()


def embedded_server(settings: Settings) -> EmbeddedServer:
    """Return the launcher of the embedded database; starts nothing."""
    return EmbeddedServer(settings.home)


def dagster_storage_url(settings: Settings) -> str:
    """Return the SQLAlchemy address of Dagster's own storage: DAGSTER_POSTGRES_URL, else the embedded server.

    The driver is named, because SQLAlchemy 2.1 takes psycopg 3 for a bare `postgresql://`, whose NOTIFY with a
    bound parameter fails on the first event of every run.

    Raises:
        SettingsError: DAGSTER_POSTGRES_URL is no Postgres URL.
    """
    if settings.dagster_postgres_url is None:
        return embedded_server(settings).dsn("dagster", scheme="postgresql+psycopg2")
    scheme, _, rest = settings.dagster_postgres_url.get_secret_value().partition("://")
    if not rest or scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise SettingsError(
            "DAGSTER_POSTGRES_URL is not a Postgres URL: write it as postgresql://user:password@host:5432/dagster."
        )
    return f"postgresql+psycopg2://{rest}"


def supabase_project(settings: Settings) -> "Project":
    """Return the project whose address and key are given."""
    from cogo_dagster.queue.supabase.project import checked_project  # noqa: PLC0415 - an HTTP client nobody else needs

    key = settings.supabase_service_role_key
    return checked_project(str(settings.supabase_url), key.get_secret_value() if key else "")


def without_password(dsn: str) -> str:
    """Return a database address that may be shown."""
    parts = urlsplit(dsn)
    if not parts.scheme:
        words = conninfo_to_dict(dsn)
        return make_conninfo("", **{name: value for name, value in words.items() if "password" not in name})
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=""))
