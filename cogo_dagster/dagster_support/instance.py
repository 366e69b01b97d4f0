"""What dagster.yaml names: Dagster's own storage and folders, placed by our settings.

dagster.yaml cannot say "this variable, else the embedded server", so these classes take no configuration there and
ask the settings instead. Connections are pooled: Dagster's stock storages open one per event, which makes an event
five to seven times as dear. The pool is the process's: Dagster makes an instance for each tick of a sensor and never
disposes of its engines, so that a pool for each would leave its connections open.
"""

import os
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy.engine import Engine

from cogo_dagster.bootstrap import dagster_storage_url, embedded_server
from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.settings import PROJECT_ROOT, load_settings

IDLE_CONNECTIONS: Final = 3
"""What a process keeps open to Dagster's storage while it is idle."""

_MAX_OVERFLOW: Final = 17
_RECYCLE_SECONDS: Final = 1_800
_SOCKET: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class CogoDagsterStorage(DagsterPostgresStorage):
    """Runs, events and schedules in DAGSTER_POSTGRES_URL, or in the embedded server's `dagster` database."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]  # noqa: ARG003
        """Build the storage from the settings.

        Raises:
            DatabaseUnavailable: The embedded server does not run: `cogo db start`.
        """
        settings = load_settings(PROJECT_ROOT / ".env")
        if settings.dagster_postgres_url is None and not embedded_server(settings).status().running:
            raise DatabaseUnavailable("The embedded database does not run: start it with `cogo db start`.")
        url = dagster_storage_url(settings)
        storage = cls(postgres_url=url, should_autocreate_tables=not _engines.has(url), inst_data=inst_data)
        for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
            part._engine = _engines.of(url)  # type: ignore[union-attr]  # noqa: SLF001 - a test guards the name
        return storage


class _Engines:
    """The process's engines, one for each address whose tables are there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_url: dict[str, Engine] = {}

    def has(self, url: str) -> bool:
        """Whether this process has used the address before."""
        return url in self._by_url

    def of(self, url: str) -> Engine:
        """Return the engine for an address."""
        with self._lock:
            if url not in self._by_url:
                self._by_url[url] = _new_engine(url)
            return self._by_url[url]

    def forget(self) -> None:
        """Leave the connections to the parent process: two that read from one socket would mix up their answers."""
        for engine in self._by_url.values():
            engine.dispose(close=False)
        self._lock, self._by_url = Lock(), {}


def _new_engine(url: str) -> Engine:
    return create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=IDLE_CONNECTIONS,
        max_overflow=_MAX_OVERFLOW,
        pool_recycle=_RECYCLE_SECONDS,
        connect_args=_SOCKET,
    )


_engines: Final = _Engines()
os.register_at_fork(after_in_child=_engines.forget)


class CogoArtifactStorage(LocalArtifactStorage):
    """Dagster's own files, below COGO_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]  # noqa: ARG003
        """Build the storage from the settings."""
        return cls(base_dir=str(_dagster_home()), inst_data=inst_data)


class CogoComputeLogs(LocalComputeLogManager):
    """What runs print, below COGO_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]  # noqa: ARG003
        """Build the manager from the settings."""
        return cls(base_dir=str(_dagster_home() / "logs"), inst_data=inst_data)


def _dagster_home() -> Path:
    return load_settings(PROJECT_ROOT / ".env").home / "dagster"
