"""The application for the duration of a short command."""

from collections.abc import Iterator
from contextlib import contextmanager

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Application]:
    """Open the application for a short command, which leaves the embedded database running for the next one."""
    with open_application(settings, idle_seconds=settings.database_idle_seconds) as application:
        yield application
