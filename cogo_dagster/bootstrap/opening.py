"""Opens the database that the settings choose, with what stands on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cogo_dagster.bootstrap.application import Application
from cogo_dagster.bootstrap.database import open_database, supabase_project
from cogo_dagster.queue.artifacts import ArtifactStore, FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.migrate import require_release
from cogo_dagster.queue.transports.base import NoDatabase
from cogo_dagster.queue.transports.postgres import PostgresTransport, is_transaction_pooled
from cogo_dagster.settings import Settings, load_settings

if TYPE_CHECKING:
    from cogo_dagster.alerts.loop import AlertLoop
    from cogo_dagster.alerts.service import Alerts


@contextmanager
def open_application(settings: Settings, *, keep_database: bool = False) -> Iterator[Application]:
    """Open the database that the settings choose, migrated, and what stands on it; close it at the end.

    Args:
        settings: From `load_settings`.
        keep_database: Leave the embedded server running when we are its last user.

    Raises:
        SettingsError: The settings choose a database this release cannot use.
        QueueError: The database cannot be reached, or is not migrated.
    """
    with ExitStack() as stack:
        if settings.uses_rest:
            yield _over_rest(settings, stack)
            return
        dsn = stack.enter_context(open_database(settings, keep=keep_database))
        pooled = not settings.uses_embedded_database and is_transaction_pooled(dsn)
        transport = PostgresTransport(dsn, max_connections=settings.pool_size, prepare=not pooled)
        stack.callback(transport.close)
        queue = Queue(transport)
        _apply_limits(settings, queue)
        yield Application(settings, dsn, transport, queue, _store(settings, queue, stack), pooled)


@contextmanager
def open_queue(settings: Settings | None = None) -> Iterator[Queue]:
    """Open the queue that the settings choose, for enqueueing and looking from Python; close it at the end.

    Args:
        settings: Those of the environment and of `.env` by default.

    Raises:
        SettingsError: The settings choose a database this release cannot use.
        QueueError: The database cannot be reached, or is not migrated.
    """
    with open_application(settings or load_settings()) as application:
        yield application.queue


def _over_rest(settings: Settings, stack: ExitStack) -> Application:
    """Open the queue over a Supabase project's REST address."""
    # supabase-py takes two seconds to import, which nobody else should pay.
    from cogo_dagster.queue.transports.supabase import MIGRATE, SupabaseTransport  # noqa: PLC0415

    transport = SupabaseTransport(supabase_project(settings))
    stack.callback(transport.close)
    queue = Queue(transport)
    require_release(queue.schema_version(), MIGRATE)
    _apply_limits(settings, queue)
    return Application(settings, None, transport, queue, _store(settings, queue, stack))


def _apply_limits(settings: Settings, queue: Queue) -> None:
    """Write down a limit that the settings name, since the database holds it for all who enqueue."""
    if settings.max_payload_bytes is not None:
        queue.set_payload_limit(settings.max_payload_bytes)


def _store(settings: Settings, queue: Queue, stack: ExitStack) -> ArtifactStore:
    """Return where artifacts go: the project's Storage where its keys are given, else a folder."""
    store = _store_of(settings)
    store.bind(queue.transport)
    stack.callback(store.close)
    return store


def _store_of(settings: Settings) -> ArtifactStore:
    if settings.supabase_url is None:
        return FolderStore(settings.home / "artifacts")
    from cogo_dagster.queue.supabase.store import SupabaseStore  # noqa: PLC0415 - an HTTP client nobody else needs

    return SupabaseStore(
        supabase_project(settings), settings.artifact_bucket, create_bucket=settings.artifact_bucket_create
    )


def alert_loop(
    settings: Settings, alerts: "Callable[[], Alerts]", say: Callable[[str], None], pause_seconds: float = 10
) -> "AlertLoop":
    """Return deliveries again and again, for a process that opens the database when it is first needed.

    Args:
        alerts: Opens the database where that is due, and returns what delivers; called for each pass.
        say: Where a sentence about trouble goes.
        pause_seconds: Between two passes.

    Raises:
        SettingsError: A target is not configured right.
    """
    from cogo_dagster.alerts.loop import AlertLoop  # noqa: PLC0415

    watch = alerts_without_database(settings).outage_watch()
    return AlertLoop(
        lambda seconds: alerts().deliver(seconds), lambda: alerts().call_switch(), watch, say, pause_seconds
    )


def alerts_without_database(settings: Settings) -> "Alerts":
    """Return what can tell targets that the database is away, which is all it can do."""
    from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415

    return Alerts(NoDatabase(), settings, lambda _: None)
