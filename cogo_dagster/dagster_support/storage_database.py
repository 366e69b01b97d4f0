"""The database of Dagster's own storage, opened at the first connection of a process.

Connections are pooled: the storages of Dagster open one per event, which makes an event five to seven times as
expensive.
There is one pool per process: Dagster creates an instance for each tick of a sensor and never disposes of its engines,
so that a pool per instance would leak connections.
"""

import atexit
import os
from contextlib import ExitStack
from threading import Lock
from typing import Any, Final

from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine, make_url

from cogo_dagster.bootstrap import dagster_storage_url, embedded_server
from cogo_dagster.settings import Settings

NO_ADDRESS: Final = "postgresql+psycopg2://"
"""The URL that engines are created with; the real one is known once the embedded server runs."""

IDLE_CONNECTIONS: Final = 3
"""Connections to Dagster's storage that an idle process keeps open."""

_MAX_OVERFLOW: Final = 17
_RECYCLE_SECONDS: Final = 1_800
_SOCKET: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class StorageDatabase:
    """Dagster's database: DAGSTER_POSTGRES_URL, else `dagster` on the embedded server.

    The first connection starts the embedded server, until the process ends, and creates the tables.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._is_open = False
        self._use = ExitStack()
        self.engine = create_pg_engine(
            NO_ADDRESS,
            isolation_level="AUTOCOMMIT",
            pool_size=IDLE_CONNECTIONS,
            max_overflow=_MAX_OVERFLOW,
            pool_recycle=_RECYCLE_SECONDS,
            connect_args=_SOCKET,
        )
        self.serve(self.engine)

    def serve(self, engine: Engine) -> None:
        """Connect an engine that was created with NO_ADDRESS to this database."""
        event.listen(engine, "do_connect", self._address)

    def close(self) -> None:
        """Close the connections, and stop the embedded server unless other processes use it."""
        self.engine.dispose()
        self._use.close()

    def forget(self) -> None:
        """Drop the connections after a fork, without closing them: they belong to the parent process."""
        self.engine.dispose(close=False)
        self._lock = Lock()

    def _address(self, dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> None:
        with self._lock:
            if not self._is_open:
                self._open()
        # Computed for each connection: a restart of the embedded server may change its port.
        address, given = dialect.create_connect_args(make_url(dagster_storage_url(self._settings)))
        arguments[:] = address
        parameters.update({**given, **parameters})

    def _open(self) -> None:
        """Start the embedded server if it is used, and create Dagster's tables.

        Raises:
            DatabaseUnavailable: The embedded server cannot be started.
            DagsterPostgresException: The database cannot be reached.
        """
        with ExitStack() as use:
            if self._settings.dagster_postgres_url is None:
                use.enter_context(embedded_server(self._settings).running())
            DagsterPostgresStorage(postgres_url=dagster_storage_url(self._settings), should_autocreate_tables=True)
            self._use = use.pop_all()
        self._is_open = True


class _Databases:
    """The databases that this process has used, by settings."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[tuple[str, str], StorageDatabase] = {}

    def of(self, settings: Settings) -> StorageDatabase:
        """Return the database of the settings."""
        given = settings.dagster_postgres_url
        key = (given.get_secret_value(), "") if given else ("", str(settings.home))
        with self._lock:
            return self._found.setdefault(key, StorageDatabase(settings))

    def close(self) -> None:
        """Close all databases."""
        for database in self._found.values():
            database.close()
        self._found = {}

    def forget(self) -> None:
        """Drop all connections after a fork."""
        self._lock = Lock()
        for database in self._found.values():
            database.forget()


databases: Final = _Databases()
os.register_at_fork(after_in_child=databases.forget)
atexit.register(databases.close)
