"""Opens the database that the settings select, and the services on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TYPE_CHECKING

from cogo_dagster.bootstrap.application import Application
from cogo_dagster.bootstrap.artifacts import artifact_store
from cogo_dagster.bootstrap.database import embedded_server, open_embedded_database, own_dsn, supabase_project
from cogo_dagster.imports import quick_imports
from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import check_current, require_release
from cogo_dagster.queue.transports.base import NoDatabase, Transport
from cogo_dagster.queue.transports.postgres import PostgresTransport, is_transaction_pooled
from cogo_dagster.settings import Settings, load_settings

if TYPE_CHECKING:
    from cogo_dagster.alerts.loop import AlertLoop
    from cogo_dagster.alerts.service import Alerts


@contextmanager
def open_application(
    settings: Settings, *, keep_database: bool = False, idle_seconds: float = 0
) -> Iterator[Application]:
    """Open the database that the settings select, and the services on it; close them at the end.

    Args:
        settings: From `load_settings`.
        keep_database: Keep the embedded server running after its last user.
        idle_seconds: Keep the embedded server running for this long after its last user.

    Raises:
        SettingsError: The settings are inconsistent.
        QueueError: The database is unreachable, or not migrated.
    """
    with ExitStack() as stack:
        if settings.uses_rest:
            yield _over_rest(settings, stack)
            return
        if settings.uses_embedded_database:
            dsn = stack.enter_context(open_embedded_database(settings, keep=keep_database, idle_seconds=idle_seconds))
            pooled = False
        else:
            dsn = own_dsn(settings)
            pooled = is_transaction_pooled(dsn, check_current)
        transport = PostgresTransport(dsn, max_connections=settings.pool_size, prepare=not pooled)
        stack.callback(transport.close)
        queue = Queue(transport)
        _apply_limits(settings, queue)
        yield Application(settings, dsn, transport, queue, _store(settings, queue, stack), pooled)


@contextmanager
def open_queue(settings: Settings | None = None) -> Iterator[Queue]:
    """Open the queue that the settings select, to enqueue and read jobs from Python; close it at the end.

    Args:
        settings: Settings; read from the environment by default.

    Raises:
        SettingsError: The settings are inconsistent.
        QueueError: The database is unreachable, or not migrated.
    """
    with open_application(settings or load_settings()) as application:
        yield application.queue


def read_first_day(settings: Settings) -> date | None:
    """Return the first day of the numbers of days and weeks; None if the embedded server does not run.

    The server is not started, and a schema of another release is not migrated.

    Raises:
        SettingsError: The settings are inconsistent.
        QueueError: The database is unreachable, or its schema is older than this function.
    """
    with running_queue(settings) as queue:
        return queue.first_day() if queue else None


@contextmanager
def running_queue(settings: Settings) -> Iterator[Queue | None]:
    """Open the queue without starting or migrating a database; yield None if the embedded server does not run.

    Raises:
        SettingsError: The settings are inconsistent.
        QueueError: See the methods of `Queue`.
    """
    if settings.uses_rest:
        from cogo_dagster.queue.transports.supabase import SupabaseTransport  # noqa: PLC0415 - takes two seconds

        transport: Transport = SupabaseTransport(supabase_project(settings))
    elif settings.uses_embedded_database and not embedded_server(settings).status().running:
        yield None
        return
    else:
        dsn = embedded_server(settings).dsn() if settings.uses_embedded_database else own_dsn(settings)
        transport = PostgresTransport(dsn, max_connections=1, prepare=False)
    try:
        yield Queue(transport)
    finally:
        transport.close()


def _over_rest(settings: Settings, stack: ExitStack) -> Application:
    """Open the queue over the REST API of a Supabase project."""
    with quick_imports():  # supabase-py takes two seconds
        from cogo_dagster.queue.transports.supabase import MIGRATE, SupabaseTransport  # noqa: PLC0415

    transport = SupabaseTransport(supabase_project(settings))
    stack.callback(transport.close)
    queue = Queue(transport)
    require_release(queue.schema_version(), MIGRATE)
    _apply_limits(settings, queue)
    return Application(settings, None, transport, queue, _store(settings, queue, stack))


def _apply_limits(settings: Settings, queue: Queue) -> None:
    """Store the payload limit of the settings, if set, in the database, where it applies to all clients."""
    if settings.max_payload_bytes is not None:
        queue.set_payload_limit(settings.max_payload_bytes)


def _store(settings: Settings, queue: Queue, stack: ExitStack) -> ArtifactStore:
    store = artifact_store(settings)
    store.bind(queue.transport)
    stack.callback(store.close)
    return store


def alert_loop(
    settings: Settings, alerts: "Callable[[], Alerts]", report: Callable[[str], None], pause_seconds: float = 10
) -> "AlertLoop":
    """Return a loop of deliveries, for a process that opens the database at first use.

    Args:
        settings: Settings with the targets.
        alerts: Returns the service of alerts, and opens the database if necessary; called in each iteration.
        report: Called with messages about errors.
        pause_seconds: Delay between iterations.

    Raises:
        SettingsError: A target is not configured correctly.
    """
    from cogo_dagster.alerts.loop import AlertLoop  # noqa: PLC0415

    watch = alerts_without_database(settings).outage_watch()
    return AlertLoop(
        lambda seconds: alerts().deliver(seconds), lambda: alerts().call_switch(), watch, report, pause_seconds
    )


def alerts_without_database(settings: Settings) -> "Alerts":
    """Return the service of alerts without a database, which can only report that the database is unreachable."""
    from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415

    return Alerts(NoDatabase(), settings, lambda _: None)
