"""Settings become objects here and nowhere else."""

from cogo_dagster.bootstrap.application import Application, worker_options
from cogo_dagster.bootstrap.database import (
    dagster_storage_url,
    embedded_server,
    open_database,
    own_dsn,
    uses_embedded_database,
    uses_rest,
    without_password,
)
from cogo_dagster.bootstrap.opening import alert_loop, alerts_without_database, open_application

__all__ = [
    "Application",
    "alert_loop",
    "alerts_without_database",
    "dagster_storage_url",
    "embedded_server",
    "open_application",
    "open_database",
    "own_dsn",
    "uses_embedded_database",
    "uses_rest",
    "without_password",
    "worker_options",
]
