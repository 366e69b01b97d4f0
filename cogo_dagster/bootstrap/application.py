"""The application: all services on an open database, each created at first use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from cogo_dagster.bootstrap.database import supabase_project, without_password
from cogo_dagster.bootstrap.workers import report_broken, usable_executors, warning, worker_options
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.registry import families, load_executors, takes
from cogo_dagster.links import week_links
from cogo_dagster.queue.artifacts import ArtifactStore, sweep_artifacts
from cogo_dagster.queue.bulk import Operation, Progress, Totals, ignore_progress, perform, perform_items
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor, ExecutorContext
from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.operations import PausedChange
from cogo_dagster.queue.stats import QueueNumbers
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import Observer, Worker, WorkerOptions
from cogo_dagster.queue.worker.wakeup import ListenWakeup, NoWakeup, Wakeup
from cogo_dagster.settings import Settings

# Each of these takes 0.1 s to import, and few commands need them.
if TYPE_CHECKING:
    from cogo_dagster.alerts.service import Alerts
    from cogo_dagster.providers.probes import ProbeResult
    from cogo_dagster.providers.record import HealthRecord
    from cogo_dagster.providers.router import Router
    from cogo_dagster.quality.gates import GateService
    from cogo_dagster.quality.weekly import Weeks
    from cogo_dagster.queue.stats import QueueNumbers
    from cogo_dagster.vault.key_vault import KeyVault

_POLLS_ONLY: Final = (
    "COGO_DATABASE_URL is a transaction pooler: notifications do not arrive, and this worker polls. "
    "For immediate starts of jobs set it to the direct or session-mode address (port 5432 on Supabase)."
)


@dataclass(frozen=True)  # no slots: cached_property needs the instance dictionary
class Application:
    """All services on an open database.

    Attributes:
        dsn: Connection string of the queue's database, with its password; None if the queue is accessed over REST.
        pooled: Whether the connection uses a transaction pooler: no prepared statements, no LISTEN.
    """

    settings: Settings
    dsn: str | None = field(repr=False)
    transport: Transport
    queue: Queue
    store: ArtifactStore
    pooled: bool = False

    @property
    def public_dsn(self) -> str:
        """Return the connection string without password, or the URL of the Supabase project."""
        return without_password(self.dsn) if self.dsn else str(self.settings.supabase_url)

    @cached_property
    def rates(self) -> RateLimits:
        """Return the rate limits of external services."""
        return RateLimits(self.transport)

    @cached_property
    def vault(self) -> "KeyVault":
        """Return the vault of the environment COGO_ENV."""
        return self.vault_in(self.settings.env)

    def vault_in(self, environment: str) -> "KeyVault":
        """Return the vault of an environment; variables and the edge function apply to COGO_ENV only."""
        from cogo_dagster.vault.build import build_vault  # noqa: PLC0415

        return build_vault(self.transport, self.settings, environment)

    @cached_property
    def router(self) -> "Router":
        """Return the router of providers."""
        from cogo_dagster.providers.router import build_router  # noqa: PLC0415

        return build_router(self.transport, self.settings)

    @cached_property
    def health(self) -> "HealthRecord":
        """Return the stored health of providers."""
        from cogo_dagster.providers.record import HealthRecord  # noqa: PLC0415

        return HealthRecord(self.transport)

    def probe_providers(self) -> "list[ProbeResult]":
        """Probe all registered providers and the external services that the settings use, and store the results."""
        from cogo_dagster.providers.probes import probe_providers, service_targets, targets_of  # noqa: PLC0415

        targets = [*targets_of(self.router.providers()), *service_targets(self.settings)]
        results = probe_providers(targets, self.settings.provider_allowed_hosts) if targets else []
        self.health.keep(results)
        return results

    @cached_property
    def gates(self) -> "GateService":
        """Return the service of the quality gate."""
        from cogo_dagster.quality.gates import GateService  # noqa: PLC0415

        return GateService.of(self.settings, self.transport, self.store)

    @cached_property
    def weeks(self) -> "Weeks":
        """Return the service of weekly summaries."""
        from cogo_dagster.quality.weekly import Weeks  # noqa: PLC0415

        return Weeks(self.gates, self.queue, lambda: self.alerts, week_links(self.settings))

    @cached_property
    def alerts(self) -> "Alerts":
        """Return the service of alerts."""
        from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415

        return Alerts(self.transport, self.settings, self.vault.get)

    @cached_property
    def stats(self) -> "QueueNumbers":
        """Return the statistics of the queue."""
        from cogo_dagster.queue.stats import QueueNumbers  # noqa: PLC0415

        return QueueNumbers(self.transport)

    def address_of(self, artifact: ArtifactRow) -> str | None:
        """Return the address of an artifact; None for a row of an older system without a storage key."""
        return self.store.address(artifact.storage_key) if artifact.storage_key else None

    def perform(
        self,
        operation: Operation,
        actor: str,
        *,
        limit: int | None = None,
        items: Sequence[Mapping[str, Json]] | None = None,
        on_batch: Progress = ignore_progress,
    ) -> Totals:
        """Run a bulk operation on all matching rows, or on the items of a plan.

        Raises:
            QueueError: See `queue.bulk`.
            ArtifactStoreError: The rows are updated, but some objects could not be deleted; a later sweep deletes them.
        """
        if items is None:
            totals = perform(self.queue, operation, actor, limit=limit, on_batch=on_batch)
        else:
            totals = perform_items(self.queue, operation, items, actor, on_batch)
        if operation.function == "cleanup_artifacts":
            sweep_artifacts(self.queue, self.store, max_seconds=None)
        return totals

    def pause(self, kind: str, name: str, *, reason: str | None, actor: str) -> PausedChange:
        """Stop claims as `Queue.pause` does; a type that an executor runs is known without a job of it."""
        change = self.queue.pause(kind, name, reason=reason, actor=actor)
        known = change.known or (kind == "type" and self._runs(name))
        return PausedChange.model_validate(change.document | {"known": known})

    def _runs(self, type: str) -> bool:
        family = family_of(type)
        if family in families():
            return takes(type)
        return any(family in worker.families for worker in self.queue.list_workers(alive_only=True, max_workers=1000))

    @property
    def executor_context(self) -> ExecutorContext:
        """Return the context with which executors are built."""
        return ExecutorContext(self.settings, self.queue, self.store)

    def executor(self, family: str) -> Executor:
        """Build the executor of one family.

        Raises:
            ExecutorUnavailable: No installed executor runs the family.
        """
        loaded = load_executors(self.executor_context)
        for executor in loaded.executors:
            if executor.family == family:
                return executor
        raise ExecutorUnavailable(
            loaded.broken.get(family, f"No executor of the family {family} is installed: install its package.")
        )

    def worker(
        self,
        *,
        observer: Observer | None = None,
        options: WorkerOptions | None = None,
        executors: Sequence[Executor] | None = None,
        dagster_run_id: str | None = None,
        last_resort: Callable[[str], None] | None = None,
    ) -> Worker:
        """Build a worker.

        Args:
            observer: Receives the events of the worker.
            options: Options; from the settings by default.
            executors: Executors to use; all installed ones without a missing setting by default.
            dagster_run_id: ID of the Dagster run that the worker belongs to.
            last_resort: Ends a process whose event loop is blocked forever; see `Worker`.

        Raises:
            ExecutorUnavailable: All executors lack a setting.
        """
        observer = observer or Observer()
        if executors is None:
            loaded = load_executors(self.executor_context)
            report_broken(loaded, self.settings, self.transport, observer)
            executors = usable_executors(loaded)
        identity = WorkerIdentity(self.settings.worker_id, uuid4(), self.settings.executor_id, dagster_run_id)
        return Worker(
            self.queue,
            self.store,
            executors,
            identity,
            options or worker_options(self.settings),
            wakeup=self._wakeup(observer),
            observer=observer,
            last_resort=last_resort,
        )

    def _wakeup(self, observer: Observer) -> Wakeup:
        if self.dsn is None:
            from cogo_dagster.queue.supabase.wakeup import RealtimeWakeup  # noqa: PLC0415 - imports a websocket client

            project = supabase_project(self.settings)
            return RealtimeWakeup(project, self.queue.send_wakeup, lambda message: observer.event(warning(message)))
        return NoWakeup(lambda: observer.event(warning(_POLLS_ONLY))) if self.pooled else ListenWakeup(self.dsn)
