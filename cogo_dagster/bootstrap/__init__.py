"""Builds the objects of the application from the settings. No other package does this."""

from cogo_dagster.bootstrap.application import Application
from cogo_dagster.bootstrap.database import (
    dagster_storage_url,
    embedded_server,
    open_embedded_database,
    own_dsn,
    without_password,
)
from cogo_dagster.bootstrap.opening import (
    alert_loop,
    alerts_without_database,
    open_application,
    open_queue,
    read_first_day,
    running_queue,
)
from cogo_dagster.bootstrap.workers import worker_options

__all__ = [
    "Application",
    "alert_loop",
    "alerts_without_database",
    "dagster_storage_url",
    "embedded_server",
    "open_application",
    "open_embedded_database",
    "open_queue",
    "own_dsn",
    "read_first_day",
    "running_queue",
    "without_password",
    "worker_options",
]
