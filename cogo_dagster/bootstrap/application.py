"""What the rims work with while the database is open: every service, built when it is first asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from cogo_dagster.bootstrap.database import supabase_project, without_password
from cogo_dagster.bootstrap.workers import able_executors, report_broken, warning, worker_options
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.registry import load_executors
from cogo_dagster.links import week_links
from cogo_dagster.queue.artifacts import ArtifactStore, sweep_artifacts
from cogo_dagster.queue.bulk import Operation, Progress, Totals, ignore_progress, perform, perform_items
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.executor import Executor, ExecutorContext
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.stats import QueueNumbers
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import Observer, Worker, WorkerOptions
from cogo_dagster.queue.worker.events import ignore
from cogo_dagster.queue.worker.wakeup import ListenWakeup, NoWakeup, Wakeup
from cogo_dagster.settings import Settings

# The quality gate's numbers, the targets' libraries and the cryptography cost every command 0.1 s each, and few
# commands need them.
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
    "A transaction pooler stands before the database, so enqueues cannot wake this worker: it polls. "
    "For jobs to start at once, give COGO_DATABASE_URL the direct or session-mode address (port 5432 on Supabase)."
)


@dataclass(frozen=True)  # no slots: services are kept in the instance's dictionary
class Application:
    """What the rims work with while the database is open.

    Attributes:
        dsn: The queue's database, with its password: for connecting, not for showing. None where only REST keys are
            given.
        pooled: Whether a transaction pooler stands before it: no prepared statements, no LISTEN.
    """

    settings: Settings
    dsn: str | None = field(repr=False)
    transport: Transport
    queue: Queue
    store: ArtifactStore
    pooled: bool = False

    @property
    def public_dsn(self) -> str:
        """The database's address without its password; over REST, the project's."""
        return without_password(self.dsn) if self.dsn else str(self.settings.supabase_url)

    @cached_property
    def rates(self) -> RateLimits:
        """What outside services allow."""
        return RateLimits(self.transport)

    @cached_property
    def vault(self) -> "KeyVault":
        """The secrets of this environment (COGO_ENV)."""
        return self.vault_in(self.settings.env)

    def vault_in(self, environment: str) -> "KeyVault":
        """Return the secrets of an environment; variables and the edge function speak for COGO_ENV only."""
        from cogo_dagster.vault.build import build_vault  # noqa: PLC0415

        return build_vault(self.transport, self.settings, environment)

    @cached_property
    def router(self) -> "Router":
        """Chooses providers."""
        from cogo_dagster.providers.router import build_router  # noqa: PLC0415

        return build_router(self.transport, self.settings)

    @cached_property
    def health(self) -> "HealthRecord":
        """What probes of providers found."""
        from cogo_dagster.providers.record import HealthRecord  # noqa: PLC0415

        return HealthRecord(self.transport)

    def probe_providers(self) -> "list[ProbeResult]":
        """Ask every provider whether it is there, and keep what they say.

        Those are the registered ones, and the outside services that the settings use.
        """
        from cogo_dagster.providers.probes import probe_providers, service_targets, targets_of  # noqa: PLC0415

        targets = [*targets_of(self.router.providers()), *service_targets(self.settings)]
        results = probe_providers(targets, self.settings.provider_allowed_hosts) if targets else []
        self.health.keep(results)
        return results

    @cached_property
    def gates(self) -> "GateService":
        """The quality gate's runs and numbers."""
        from cogo_dagster.quality.gates import GateService  # noqa: PLC0415

        return GateService.of(self.settings, self.transport, self.store)

    @cached_property
    def weeks(self) -> "Weeks":
        """Sends finished weeks of the gate."""
        from cogo_dagster.quality.weekly import Weeks  # noqa: PLC0415

        return Weeks(self.gates, self.queue, lambda: self.alerts, week_links(self.settings))

    @cached_property
    def alerts(self) -> "Alerts":
        """What went wrong, and whom to tell."""
        from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415

        return Alerts(self.transport, self.settings, self.vault.get)

    @cached_property
    def stats(self) -> "QueueNumbers":
        """The queue's numbers."""
        from cogo_dagster.queue.stats import QueueNumbers  # noqa: PLC0415

        return QueueNumbers(self.transport)

    def address_of(self, artifact: ArtifactRow) -> str | None:
        """Return where a person finds an artifact's file; None for a row of an older system that does not say."""
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
        """Do a bulk operation to all rows that match, or to these items of a plan.

        Raises:
            QueueError: See `queue.bulk`.
            ArtifactStoreError: The rows are marked, but some objects could not be deleted; the sweeper tries again.
        """
        if items is None:
            totals = perform(self.queue, operation, actor, limit=limit, on_batch=on_batch)
        else:
            totals = perform_items(self.queue, operation, items, actor, on_batch)
        if operation.function == "cleanup_artifacts":
            sweep_artifacts(self.queue, self.store, max_seconds=None)
        return totals

    @property
    def executor_context(self) -> ExecutorContext:
        """What executors are built with."""
        return ExecutorContext(self.settings, self.queue, self.store)

    def executor(self, family: str) -> Executor:
        """Build the executor of one family.

        Raises:
            ExecutorUnavailable: Nothing installed here runs it.
        """
        loaded = load_executors(self.executor_context)
        for executor in loaded.executors:
            if executor.family == family:
                return executor
        raise ExecutorUnavailable(
            loaded.broken.get(family, f"Nothing here runs jobs of the family {family}: install its executor.")
        )

    def worker(
        self,
        *,
        observer: Observer = ignore,
        options: WorkerOptions | None = None,
        executors: Sequence[Executor] | None = None,
        dagster_run_id: str | None = None,
        last_resort: Callable[[str], None] | None = None,
    ) -> Worker:
        """Build one worker start.

        Args:
            executors: Instead of those installed here that lack no setting.
            last_resort: Ends a process whose event loop is blocked for good; see `Worker`.

        Raises:
            ExecutorUnavailable: Every one of them lacks a setting.
        """
        if executors is None:
            loaded = load_executors(self.executor_context)
            report_broken(loaded, self.settings, self.transport, observer)
            executors = able_executors(loaded)
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
            from cogo_dagster.queue.supabase.wakeup import RealtimeWakeup  # noqa: PLC0415 - a websocket client

            project = supabase_project(self.settings)
            return RealtimeWakeup(project, self.queue.send_wakeup, lambda sentence: observer(warning(sentence)))
        return NoWakeup(lambda: observer(warning(_POLLS_ONLY))) if self.pooled else ListenWakeup(self.dsn)
