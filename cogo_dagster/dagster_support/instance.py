"""Classes for dagster.yaml: Dagster's own storage and folders, located by the project's settings.

dagster.yaml has no syntax for "this variable, else the embedded server", so these classes take no configuration and
read the settings. Building the storage does not connect to it; see `storage_database`.
"""

from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy.engine import Engine

from cogo_dagster.bootstrap import dagster_storage_url
from cogo_dagster.bootstrap.artifacts import storage_client
from cogo_dagster.dagster_support.remote_logs import RemoteComputeLogs
from cogo_dagster.dagster_support.storage_database import NO_ADDRESS, StorageDatabase, databases
from cogo_dagster.settings import PROJECT_ROOT, StorageUrl, load_settings


class _Pooled:
    """A part of Dagster's storage that uses the engine of the process."""

    _engine: Engine

    def __init__(self, database: StorageDatabase) -> None:
        super().__init__(NO_ADDRESS, should_autocreate_tables=False)  # type: ignore[call-arg]
        self._database, self._engine = database, database.engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Use a separate engine for the webserver, on the same database."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)  # type: ignore[misc]
        self._database.serve(self._engine)


class _EventLog(_Pooled, PostgresEventLogStorage):
    """Event log."""


class _Runs(_Pooled, PostgresRunStorage):
    """Runs."""


class _Schedules(_Pooled, PostgresScheduleStorage):
    """Schedules and sensors."""


class CogoDagsterStorage(DagsterStorage[DagsterInstance], ConfigurableClass):
    """Runs, events and schedules in DAGSTER_POSTGRES_URL, or in the embedded server's `dagster` database."""

    def __init__(self, database: StorageDatabase, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._events, self._runs, self._schedules = _EventLog(database), _Runs(database), _Schedules(database)
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Configuration with which Dagster rebuilds the storage in another process."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return an empty schema: dagster.yaml configures nothing."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]  # noqa: ARG003
        """Build the storage from the settings.

        Raises:
            SettingsError: DAGSTER_POSTGRES_URL is not a Postgres URL.
        """
        settings = load_settings(PROJECT_ROOT / ".env")
        if settings.dagster_postgres_url is not None:
            dagster_storage_url(settings)
        return cls(databases.of(settings), inst_data)

    @property
    def event_log_storage(self) -> PostgresEventLogStorage:
        """The event log."""
        return self._events

    @property
    def run_storage(self) -> PostgresRunStorage:
        """The runs."""
        return self._runs

    @property
    def schedule_storage(self) -> PostgresScheduleStorage:
        """The state of schedules and sensors."""
        return self._schedules


class CogoArtifactStorage(LocalArtifactStorage):
    """Dagster's file storage, below COGO_HOME."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return an empty schema: dagster.yaml configures nothing."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]) -> Self:  # type: ignore[override]  # noqa: ARG003
        """Build the storage from the settings."""
        return cls(base_dir=str(_dagster_home()), inst_data=inst_data)


class CogoComputeLogs(LocalComputeLogManager):
    """The output of runs, below COGO_HOME, or where COGO_COMPUTE_LOGS_URL says."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return an empty schema: dagster.yaml configures nothing."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: dict[str, Any],  # noqa: ARG003
    ) -> "CogoComputeLogs | RemoteComputeLogs":
        """Build the manager from the settings.

        Raises:
            SettingsError: A package for this kind of storage is not installed.
        """
        settings = load_settings(PROJECT_ROOT / ".env")
        folder = settings.home / "dagster" / "logs"
        if settings.compute_logs_url is None:
            return cls(base_dir=str(folder), inst_data=inst_data)
        url = StorageUrl.from_text(settings.compute_logs_url)
        if url.scheme == "file":
            return cls(base_dir=url.path, inst_data=inst_data)
        return RemoteComputeLogs(storage_client(url.scheme, settings), url.path, folder)


def _dagster_home() -> Path:
    return load_settings(PROJECT_ROOT / ".env").home / "dagster"
