"""What dagster.yaml names: Dagster's own storage and folders, placed by our settings.

dagster.yaml cannot say "this variable, else the embedded server", so these classes take no configuration there and
ask the settings instead. Connections are pooled: Dagster's stock storages open one per event, which makes an event
five to seven times as dear.
"""

from pathlib import Path
from typing import Any, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from cogo_dagster.bootstrap import dagster_storage_url, embedded_server
from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster.settings import PROJECT_ROOT, load_settings

_MAX_OVERFLOW = 20
_RECYCLE_SECONDS = 1_800


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
        storage = cls(postgres_url=dagster_storage_url(settings), inst_data=inst_data)
        for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
            part.optimize_for_webserver(statement_timeout=0, pool_recycle=_RECYCLE_SECONDS, max_overflow=_MAX_OVERFLOW)
        return storage


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
