"""The default database: a PostgreSQL of our own that commands start when they need it."""

from cogo_dagster.queue.embedded.server import EmbeddedServer, ServerStatus
from cogo_dagster.queue.errors import DatabaseUnavailable

__all__ = ["DatabaseUnavailable", "EmbeddedServer", "ServerStatus"]
