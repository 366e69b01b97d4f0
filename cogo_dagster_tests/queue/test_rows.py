"""Each row type has exactly the keys that its SQL function returns."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue import rows
from cogo_dagster.queue import stats as numbers
from cogo_dagster.queue.bulk import Operation, perform
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, Json, Outcome
from cogo_dagster.queue.rows import (
    access,
    alerts,
    artifacts,
    bulk_actions,
    dead_letters,
    gates,
    jobs,
    operations,
    providers,
    rates,
    secrets,
    stats,
    workers,
)
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.vault.access_tokens import hashed
from cogo_dagster_tests.alerts.steps import evaluate
from cogo_dagster_tests.conftest import Age
from cogo_dagster_tests.queue.conformance.test_gate_runs import a_run, record
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.conformance.test_secrets import NEW, keep
from cogo_dagster_tests.queue.steps import BROKEN, a_worker, add, register, running_job, settle, take, take_one

FILE: Final[dict[str, Json]] = {
    "name": "page.html",
    "content_type": "text/html",
    "size_bytes": 3,
    "sha256": "a" * 64,
    "extension": "html",
}
REPORT: Final[dict[str, Json]] = FILE | {"name": "report.html"}
PROVIDER: Final[dict[str, Json]] = {"provider": "one", "capability": "chat", "probe_url": "https://example.com"}
PROBE: Final[dict[str, Json]] = {
    "provider": "one",
    "capability": "chat",
    "healthy": True,
    "latency_ms": 12.5,
    "error": None,
}
SILENCE: Final[dict[str, Json]] = {
    "silence_id": str(uuid4()),
    "fingerprint": None,
    "kind": "weekly",
    "subject_prefix": None,
    "duration_seconds": 60,
    "author": "me",
}
SESSION: Final[dict[str, Json]] = {"holder": "admin", "lifetime_seconds": 60, "seal": "b" * 64}
MONDAY: Final = "2026-10-05T00:00:00+00:00"
ACTION: Final[dict[str, Json]] = {
    "action_id": "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bb",
    "operation": "retry",
    "items": [],
    "actor": "me",
}
ANNOUNCEMENT: Final[dict[str, Json]] = {
    "key": "weekly:2026-W40",
    "kind": "weekly",
    "title": "A week",
    "body": {"markdown": "text"},
    "targets": [],
}

Call = Callable[[Transport, "Seeded"], Any]


class Seeded:
    """A database in which every list has a row.

    Attributes:
        retried: A job with a superseded attempt and an artifact.
        running: A running job and its lease.
    """

    def __init__(self, transport: Transport, age: Age) -> None:
        queue, worker = Queue(transport), a_worker()
        register(queue, worker)
        register(queue, replace(a_worker("launched"), dagster_run_id="a run"))
        queue.heartbeat(worker, 1, {"counters": {"claimed": 3}, "latency": LATENCY})
        settle(queue, running_job(queue, payload={"url": "https://example.com"}))
        self.dead, *_ = [failed_job(queue, payload={"url": "https://example.com"}) for _ in range(3)]
        self._lose(queue, age)
        first = running_job(queue)
        settle(queue, first, Outcome.FAILED, error=BROKEN)
        age(first, 3_600)
        second = take_one(queue)
        [artifact] = queue.create_artifacts(second, [FILE])
        queue.finish_artifacts(second, [artifact.artifact_id])
        settle(queue, second)
        self.retried, self.artifact = second.id, artifact.artifact_id
        left = running_job(queue)
        queue.create_artifacts(left, [FILE])
        settle(queue, left)
        self.running: Job = running_job(queue)
        add(queue, "gate")
        queue.pause("type", "gate", reason="broken", actor="me")
        record(transport)
        evaluate(transport)
        transport.call("silence_alerts", SILENCE)
        keep(transport)
        transport.call("set_provider", PROVIDER)
        transport.call("record_provider_health", {"results": [PROBE]})
        transport.call("acquire_rate", {"name": "figma", "capacity": 1, "refill_per_second": 1})
        transport.call("open_circuit", {"name": "figma", "open_seconds": 60, "reason": "full"})
        transport.call("create_access_token", a_token("anna"))
        transport.call("open_web_session", {"session_hash": hashed("cookie"), **SESSION})
        transport.call("store_gate_snapshot", {"kind": "rolling"})
        transport.call("plan_bulk_action", ACTION)

    def _lose(self, queue: Queue, age: Age) -> None:
        """Let an attempt lose its lease."""
        lost = running_job(queue)
        age(lost, 3_600)
        queue.recover()
        settle(queue, take_one(queue))


LATENCY: Final[dict[str, Json]] = {"bounds_seconds": [1, 2], "counts": [1, 2, 3], "sum_seconds": 4}


def a_token(name: str) -> dict[str, Json]:
    """Return the arguments that create a token."""
    return {"token_id": str(uuid4()), "name": name, "role": "viewer", "token_hash": hashed(name), "actor": "me"}


def calls(function: str, **arguments: Json) -> Call:
    """Return a call of a SQL function with fixed arguments."""
    return lambda transport, _: transport.call(function, arguments)


def _gate_run(transport: Transport, _: "Seeded") -> Json:
    [first, *_] = transport.call("list_gate_runs", {})
    return transport.call("get_gate_run", {"gate_run_id": first["gate_run_id"]})


CASES: Final[list[tuple[type[Row], Call]]] = [
    (jobs.JobRow, calls("list_jobs")),
    (jobs.FoundJobs, calls("search_jobs")),
    (jobs.FoundJobs, calls("query_jobs")),
    (bulk_actions.ActionItems, calls("select_for_action", operation="retry")),
    (bulk_actions.MatchCount, calls("count_query")),
    (bulk_actions.BulkAction, calls("plan_bulk_action", **ACTION)),
    (bulk_actions.BulkAction, calls("list_bulk_actions")),
    (jobs.WholeJob, lambda transport, seeded: transport.call("get_jobs", {"job_ids": [str(seeded.retried)]})),
    (jobs.TruncatedJob, lambda transport, seeded: transport.call("look_at_job", {"job_id": str(seeded.retried)})),
    (jobs.Cancelled, lambda transport, seeded: transport.call("cancel_job", {"job_id": str(seeded.running.id)})),
    (artifacts.ArtifactRow, calls("list_artifacts")),
    (
        artifacts.ArtifactRow,
        lambda transport, seeded: transport.call("get_artifacts", {"artifact_ids": [str(seeded.artifact)]}),
    ),
    (artifacts.AbandonedArtifact, calls("list_abandoned_artifacts", grace_seconds=0)),
    (artifacts.CreatedReport, calls("create_report", **REPORT)),
    (dead_letters.DeadLetter, calls("list_dlq")),
    (dead_letters.Incident, calls("list_incidents")),
    (workers.WorkerRow, calls("list_workers")),
    (workers.Heartbeat, calls("list_heartbeats")),
    (workers.LeaseLosses, calls("list_lease_losses")),
    (jobs.JobContext, lambda transport, seeded: transport.call("job_context", {"job_id": str(seeded.dead)})),
    (jobs.FoundPages, calls("list_pages", window_start=MONDAY, window_end="2100-01-01T00:00:00Z")),
    (workers.RegisteredFamily, calls("registered_families")),
    (operations.OperationRow, calls("list_operations")),
    (operations.PausedRow, calls("list_paused")),
    (operations.PausedChange, calls("pause", kind="type", name="figma")),
    (operations.ResumedChange, calls("resume", kind="type", name="gate")),
    (stats.QueueStats, calls("queue_stats")),
    (stats.SchemaVersion, calls("schema_version")),
    (stats.HealthFacts, calls("health_facts")),
    (stats.DatabaseHealth, calls("database_health")),
    (numbers.Numbers, calls("queue_numbers")),
    (numbers.QueueReasons, calls("explain_queue")),
    (numbers.StatusCounts, calls("count_jobs")),
    (numbers.History, calls("job_history")),
    (numbers.TypeHistory, calls("job_history_by_type")),
    (numbers.WorkerTotals, calls("worker_totals")),
    (alerts.AlertRow, calls("list_alerts")),
    (alerts.DeliveryRow, calls("list_alert_deliveries")),
    (alerts.SilenceRow, calls("list_alert_silences")),
    (alerts.NewSilence, calls("silence_alerts", **SILENCE)),
    (alerts.ForgottenTarget, calls("forget_alert_target", target="http", actor="me")),
    (alerts.EndedSilence, calls("end_alert_silence", silence_id=SILENCE["silence_id"], actor="me")),
    (alerts.AlertTargets, calls("alert_target_health")),
    (alerts.Announced, calls("announce", **ANNOUNCEMENT)),
    (alerts.MessageClaim, calls("claim_alert_message", target="slack", claim_id=str(uuid4()))),
    (alerts.AlertEvaluation, calls("evaluate_alerts", targets=[])),
    (alerts.ReplayedDeliveries, calls("replay_alert_deliveries")),
    (alerts.DeadmanClaim, calls("claim_deadman_ping", interval_seconds=60)),
    (gates.GateRunRow, calls("list_gate_runs")),
    (gates.GateRunRow, _gate_run),
    (gates.RecordedGateRun, calls("record_gate_run", run=a_run())),
    (gates.StoredWindow, calls("list_gate_snapshots", kind="rolling")),
    (gates.StoredWindow, calls("weekly_numbers")),
    (gates.KeptWindow, calls("store_gate_snapshot", kind="rolling")),
    (gates.KeptWindow, calls("store_weekly_summary", window_start=MONDAY)),
    (providers.ProviderRow, calls("set_provider", **PROVIDER)),
    (providers.ProbedProvider, calls("list_providers")),
    (providers.ProviderHealthRow, calls("list_provider_health")),
    (providers.ChosenProvider, calls("select_provider", capabilities=["chat"])),
    (providers.ChosenProvider, calls("select_provider", capabilities=["nothing"])),
    (rates.RateGrant, calls("acquire_rate", name="figma", capacity=1, refill_per_second=1)),
    (rates.OpenedCircuit, calls("open_circuit", name="figma", open_seconds=60, reason="full")),
    (rates.RateLimitRow, calls("list_rate_limits")),
    (secrets.SecretRow, calls("list_secrets")),
    (secrets.StoredSecret, lambda transport, _: keep(transport, "b")),
    (secrets.SealedSecret, calls("get_secret", environment="dev", reference="quality:notify:admin_token")),
    (secrets.UnrotatedSecrets, calls("list_unrotated_secrets", key_id=NEW)),
    (secrets.RotatedSecrets, calls("rotate_secrets", secrets=[], key_id=NEW)),
    (access.AccessTokenRow, calls("list_access_tokens")),
    (access.AccessTokenRow, calls("use_access_token", token_hash=hashed("anna"))),
    (access.NewAccessTokenRow, lambda transport, _: transport.call("create_access_token", a_token("ben"))),
    (access.RevokedTokenRow, calls("revoke_access_token", name="anna")),
    (access.WebSessionRow, calls("use_web_session", session_hash=hashed("cookie"))),
    (jobs.WholeJob, lambda transport, _: a_discarded_job(transport)),
]

MORE: Final = {jobs.JobReason, stats.HeldSnapshot, bulk_actions.ReplayResults}
"""Tested separately."""


def a_discarded_job(transport: Transport) -> Json:
    """Discard the dead-lettered jobs; return one of them."""
    dead_lettered = transport.call("list_dlq", {})
    transport.call("discard_dlq", {"dry_run": False, "reason": "gone"})
    return transport.call("get_jobs", {"job_ids": [dead_lettered[0]["job_id"]]})


@pytest.fixture
def seeded(transport: Transport, age: Age) -> Seeded:
    """Add a row to every list."""
    return Seeded(transport, age)


def test_rows_have_the_keys_of_their_functions(transport: Transport, seeded: Seeded) -> None:
    """Missing and extra keys fail, in nested rows too; an empty list would compare nothing."""
    compared: set[type[Row]] = set()
    for row_type, call in CASES:
        answer = call(transport, seeded)
        for document in answer if isinstance(answer, list) else [answer]:
            row_type.model_validate(document)
            for found_type, found in _rows_in(row_type, document):
                assert set(found) == _keys(found_type), found_type
                compared.add(found_type)
        assert answer, row_type
    assert compared | MORE == set(_row_types())


def test_the_reason_type_has_the_keys_of_all_reasons(queue: Queue) -> None:
    """Each reason has its own keys; the type has all of them and no others."""
    keys: set[str] = set()
    for job_id in _jobs_of_every_reason(queue):
        [reason] = queue.explain([job_id])
        keys |= reason.document.keys()
    assert keys == _keys(jobs.JobReason)


def _jobs_of_every_reason(queue: Queue) -> Iterator[UUID]:
    """Yield jobs, each while its reason holds."""
    yield running_job(queue).id
    yield failed_job(queue)
    discarded = failed_job(queue)
    perform(queue, Operation("discard_dlq", {"job_ids": [str(discarded)], "reason": "gone"}), "me")
    yield discarded
    yield add(queue, "unserved")  # no_worker
    worker = a_worker()
    register(queue, worker, families=["browser"])
    yield add(queue, "figma")  # no_executor
    yield add(queue, executor_id="elsewhere")  # no_address
    yield add(queue)  # in_line
    yield add(queue, run_in_seconds=60)
    for _ in range(4):
        add(queue, priority=0)
    take(queue, 4, worker=worker)
    yield add(queue)  # busy
    queue.pause("type", "browser", actor="me")
    yield add(queue)


def _row_types() -> Iterator[type[Row]]:
    modules = [import_module(f"{rows.__name__}.{found.name}") for found in iter_modules(rows.__path__)]
    for module in (*modules, numbers):
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        yield from (value for value in own if isinstance(value, type) and issubclass(value, Row) and value is not Row)


def _keys(row_type: type[Row]) -> set[str]:
    return {field.alias or name for name, field in row_type.model_fields.items()}


def _rows_in(row_type: type[Row], document: Json) -> Iterator[tuple[type[Row], dict[str, Json]]]:
    yield row_type, document
    for name, field in row_type.model_fields.items():
        value = document[field.alias or name]
        for inner in _types_in(field.annotation):
            for one in value if isinstance(value, list) else [value] if value is not None else []:
                yield from _rows_in(inner, one)


def _types_in(annotation: Any) -> list[type[Row]]:
    if isinstance(annotation, type) and issubclass(annotation, Row):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType, list):
        return [found for part in get_args(annotation) for found in _types_in(part)]
    return []
