"""The default database: an embedded PostgreSQL server that commands start on demand."""

from cogo_dagster.queue.embedded.server import EmbeddedServer, ServerStatus
from cogo_dagster.queue.errors import DatabaseUnavailable

__all__ = ["DatabaseUnavailable", "EmbeddedServer", "ServerStatus"]
