"""What the rims work with while the database is open: every service, built when it is asked for."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from cogo_dagster.bootstrap.database import supabase_project, uses_rest, without_password
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.executors.registry import broken_executors, build_executors
from cogo_dagster.links import artifact_content, week_links
from cogo_dagster.providers.record import HealthRecord
from cogo_dagster.quality.announcement import announcement_of
from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.records import WeeklySummary
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.quality.weeks import finished_week, start_of
from cogo_dagster.queue.artifacts import ArtifactStore, sweep_artifacts
from cogo_dagster.queue.bulk import Operation, Progress, Totals, ignore_progress, perform, perform_items
from cogo_dagster.queue.client import Queue, WorkerIdentity
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.executor import Executor, ExecutorPorts
from cogo_dagster.queue.model import Enqueued, Json, NewJob
from cogo_dagster.queue.rates import RateLimits
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.stats import QueueStats
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.queue.worker import Observer, Worker, WorkerOptions
from cogo_dagster.queue.worker.events import EventKind, Stage, WorkerEvent, ignore
from cogo_dagster.queue.worker.wakeup import ListenWakeup, NoWakeup, Wakeup
from cogo_dagster.redaction import redact
from cogo_dagster.settings import Settings

if TYPE_CHECKING:
    from cogo_dagster.alerts.service import Alerts
    from cogo_dagster.providers.probes import ProbeResult
    from cogo_dagster.providers.router import Router
    from cogo_dagster.vault.key_vault import KeyVault

_POLL_SECONDS = 2
_REST_POLL_SECONDS = 3
_REST_WOKEN_POLL_SECONDS = 20
"""A request costs more than a statement; a job that becomes due with time, as a retry does, may wait as long."""

_POLLS_ONLY = (
    "A transaction pooler stands before the database, so enqueues cannot wake this worker: it polls. "
    "For jobs to start at once, give COGO_DATABASE_URL the direct or session-mode address (port 5432 on Supabase)."
)


@dataclass(frozen=True, slots=True)
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

    @property
    def rates(self) -> RateLimits:
        """What outside services allow."""
        return RateLimits(self.transport)

    @property
    def vault(self) -> "KeyVault":
        """The secrets of this environment (COGO_ENV)."""
        return self.vault_in(self.settings.env)

    def vault_in(self, environment: str) -> "KeyVault":
        """Return the secrets of an environment; variables and the edge function speak for COGO_ENV only."""
        # The cryptography costs every command 0.1 s, and few need it; the HTTP client behind `edge` costs more.
        from cogo_dagster.vault.build import build_vault  # noqa: PLC0415

        return build_vault(self.transport, self.settings, environment)

    @property
    def router(self) -> "Router":
        """Chooses providers."""
        from cogo_dagster.providers.router import build_router  # noqa: PLC0415 - as above

        return build_router(self.transport, self.settings)

    @property
    def health(self) -> HealthRecord:
        """What probes of providers found."""
        return HealthRecord(self.transport)

    def probe_providers(self) -> "list[ProbeResult]":
        """Ask every provider whether it is there, and keep what they say.

        Those are the registered ones, and the outside services that the settings use.
        """
        from cogo_dagster.providers.probes import probe_providers, service_targets, targets_of  # noqa: PLC0415 - as above

        targets = [*targets_of(self.router.providers()), *service_targets(self.settings)]
        results = probe_providers(targets, self.settings.provider_allowed_hosts) if targets else []
        self.health.keep(results)
        return results

    @property
    def gates(self) -> GateService:
        """The quality gate's runs and numbers."""
        chosen = self.settings
        threshold = Threshold(chosen.gate_min_pass_rate, chosen.gate_min_runs)
        return GateService(
            self.transport,
            self.store,
            threshold,
            chosen.gate_branch,
            lambda artifact_id: artifact_content(chosen, artifact_id),
        )

    @property
    def alerts(self) -> "Alerts":
        """What went wrong, and whom to tell."""
        # The targets' libraries cost every command 0.1 s, and few need them.
        from cogo_dagster.alerts.service import Alerts  # noqa: PLC0415

        return Alerts(self.transport, self.settings, self.vault.get)

    def _announce(self, *, again: bool = False, **announcement: Json) -> Json:
        """Tell every target something: `Announcement`'s attributes by name, for executors that know no alerts."""
        from cogo_dagster.alerts.messages import Announcement  # noqa: PLC0415

        return self.alerts.announce(Announcement(**announcement), again=again)

    @property
    def stats(self) -> QueueStats:
        """The queue's numbers."""
        return QueueStats(self.transport)

    def _weekly(self, week: str) -> Mapping[str, Json]:
        """Keep a week and its chart; return what an announcement of it is made of."""
        told, chart = self.gates.publish_week(week)
        return announcement_of(told, image_artifact_id=chart, links=week_links(self.settings))

    def announce_week(self, told: WeeklySummary, *, chart: str | None = None, again: bool = False) -> Json:
        """Tell every target of a week, once however often it is asked; return what `announce` does.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(told.week, datetime.now(UTC))
        given = announcement_of(told, image_artifact_id=chart, links=week_links(self.settings))
        return self._announce(**given, again=again)

    def enqueue_week(self, week: str, *, again: bool = False) -> Enqueued:
        """Add the job that tells people of a week, unless it was added before and told somebody, or still will.

        Args:
            again: Add it all the same, to tell everybody once more.

        Raises:
            InvalidArgument: The week is not over.
        """
        finished_week(week, start_of(self.gates.last_week()) + timedelta(days=7))
        if again:
            payload = {"week": week, "again": True}
            return self.queue.enqueue([NewJob("weekly_summary", payload, idempotency_key=f"weekly:{week}:{uuid4()}")])[
                0
            ]
        key = f"weekly:{week}"
        while True:
            [job] = self.queue.enqueue([NewJob("weekly_summary", {"week": week}, idempotency_key=key)])
            if job.created or not self._told_nobody(job.job_id, week):
                return job
            key = f"weekly:{week}:{job.job_id}"  # one job follows the other, whoever asks at the same time

    def _told_nobody(self, job_id: UUID, week: str) -> bool:
        """Whether a job has ended, and no target accepted the week or is still to be told."""
        ended = any(row.status in ("succeeded", "failed", "cancelled") for row in self.queue.get_jobs([job_id]))
        return ended and not self.transport.call("announcement_is_settled", {"key": f"weekly:{week}"})

    def artifact_url(self, artifact_id: object) -> str | None:
        """Return the address that leads to an artifact's bytes; None while METRICS_BASE is unset."""
        return artifact_content(self.settings, artifact_id)

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

    def executor(self, family: str) -> Executor:
        """Build the executor of one family.

        Raises:
            ExecutorUnavailable: Nothing installed here runs it.
        """
        for executor in build_executors(self.settings):
            if executor.family == family:
                return self._equipped(executor)
        raise ExecutorUnavailable(f"Nothing here runs jobs of the family {family}: install its executor.")

    def _equipped(self, executor: Executor) -> Executor:
        use = getattr(executor, "use", None)
        if use is not None:
            use(
                ExecutorPorts(
                    self.transport,
                    self.store,
                    self._announce,
                    record_gate=lambda run, reports: self.gates.record_reports(run, reports)[0].model_dump(mode="json"),
                    weekly=self._weekly,
                )
            )
        return executor

    def _all_equipped(self, executors: Sequence[Executor], observer: Observer) -> list[Executor]:
        equipped = []
        for executor in executors:
            try:
                equipped.append(self._equipped(executor))
            except Exception as error:  # noqa: BLE001 - one executor's bug costs its own family's jobs only
                observer(_warning(f"The executor {executor.family} is left out: {type(error).__name__}: {error}"))
        return equipped

    def _able(self) -> list[Executor]:
        executors = build_executors(self.settings)
        able = [executor for executor in executors if not getattr(executor, "lacks", None)]
        if executors and not able:
            names = ", ".join(str(getattr(executor, "lacks", None)) for executor in executors)
            raise ExecutorUnavailable(f"This machine can run no jobs at all: set {names}.")
        if not able and (broken := broken_executors(self.settings)):
            raise ExecutorUnavailable(f"This machine can run no jobs at all. {' '.join(broken.values())}")
        return able

    def _tell_of_broken(self, observer: Observer) -> None:
        """Say which executors cannot be loaded: in the worker's log, and as conditions that become alerts."""
        broken = broken_executors(self.settings)
        for sentence in broken.values():
            observer(_warning(f"{sentence} Its jobs are left to other workers."))
        worker_id = self.settings.worker_id
        conditions = [
            {
                "kind": "executor_unavailable",
                "subject": f"{family} on {worker_id}",
                "title": f"Worker {worker_id} cannot load the executor {family}",
                "error_message": redact(sentence, self.settings.secret_values()),
            }
            for family, sentence in broken.items()
        ]
        with contextlib.suppress(QueueError):  # the worker works without the alert
            # Not over `alerts`, whose libraries cost every start 0.2 s.
            self.transport.call("report_conditions", {"scope": f"worker {worker_id}", "conditions": conditions})

    def worker(
        self,
        *,
        observer: Observer = ignore,
        options: WorkerOptions | None = None,
        executors: list[Executor] | None = None,
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
            self._tell_of_broken(observer)
        identity = WorkerIdentity(self.settings.worker_id, uuid4(), self.settings.executor_id, dagster_run_id)
        return Worker(
            self.queue,
            self.store,
            self._all_equipped(self._able() if executors is None else executors, observer),
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
            return RealtimeWakeup(project, self.queue.send_wakeup, lambda sentence: observer(_warning(sentence)))
        return NoWakeup(lambda: observer(_warning(_POLLS_ONLY))) if self.pooled else ListenWakeup(self.dsn)


def worker_options(settings: Settings) -> WorkerOptions:
    """Return how a worker works by these settings."""
    return WorkerOptions(
        concurrency=settings.concurrency,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.grace_seconds,
        max_jobs=settings.max_jobs,
        heartbeat_seconds=min(10, settings.lease_seconds / 3),
        job_timeout_seconds=settings.job_timeout_seconds,
        secrets=settings.secret_values(),
        poll_seconds=_REST_POLL_SECONDS if uses_rest(settings) else _POLL_SECONDS,
        woken_poll_seconds=_REST_WOKEN_POLL_SECONDS if uses_rest(settings) else None,
    )


def _warning(sentence: str) -> WorkerEvent:
    return WorkerEvent(EventKind.WARNING, Stage.CLAIM, sentence=sentence)
