"""A state machine that calls a real queue and a model in any order, and compares them.

The invariants by number: I1 one status, I2 one lease, I3 one end, I4 attempts counted, I5 no job lost, I6 one job per
key, I7 retries follow the policy, I10 nothing left running.
"""

import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg.rows import dict_row

from cogo_dagster.queue.client import ClaimRequest, Queue, WorkerIdentity
from cogo_dagster.queue.errors import DuplicateJob, InvalidTransition
from cogo_dagster.queue.model import Job, Json, NewJob, Outcome, Settlement
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.proofs.model import ENDED, MAX_SNOOZES, ModelJob, ModelWorker, claimable
from cogo_dagster_tests.queue.steps import BROKEN, PERMANENT, register

FAMILIES: Final = ("browser", "figma")
ADDRESSES: Final = (None, "mac", None)
"""Executor IDs of the three workers."""

TABLES: Final = (
    "jobs",
    "job_attempts",
    "jobs_dlq",
    "ended_claims",
    "operations_log",
    "paused",
    "workers",
    "worker_devices",
    "executors",
)

_TABLES: Final = """
    select coalesce((select jsonb_agg(to_jsonb(j) || jsonb_build_object('expired', lease_expires_at < now()))
                     from public.jobs j), '[]'),
           coalesce((select jsonb_agg(jsonb_build_array(job_id, lease_token, outcome)) from public.job_attempts), '[]'),
           coalesce((select jsonb_agg(jsonb_build_array(job_id, reason)) from public.jobs_dlq
                     where not superseded and closed_at is null and replayed_at is null), '[]')
"""
"""In one statement, since it is executed after every step."""

FAR_AWAY: Final = 3600
"""Longer than any example: nothing becomes due, and no lease expires, by itself."""

PICK: Final = st.integers(0, 999)

WHO: Final = st.sampled_from(("holder", "holder", "stale", "any"))
"""The caller: the holder of a lease, a former holder of a lease that was taken over, or any former holder."""


@dataclass(frozen=True, slots=True)
class Database:
    """The queue, and a connection for what the queue has no function for."""

    queue: Queue
    owner: Owner


class QueueMachine(RuleBasedStateMachine):
    """One run: three workers and a few jobs, in any order.

    Attributes:
        sixth_priority: The priority of the sixth job that `begin` creates.
        steps: Number of steps of all runs of this process.
        drained: Number of runs that were drained.
    """

    sixth_priority: ClassVar[int] = 5
    steps: ClassVar[int] = 0
    drained: ClassVar[int] = 0

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.queue, self.owner = database.queue, database.owner
        self.owner.execute("; ".join(f"delete from public.{table}" for table in TABLES).encode())
        self.jobs: list[ModelJob] = []
        self.purged: list[ModelJob] = []
        self.paused: set[tuple[str, str]] = set()
        self.keys: dict[str, UUID] = {}
        self.attempts: list[tuple[ModelJob, Job]] = []
        self.ends: dict[UUID, Json] = {}
        self.ended_claims: set[UUID] = set()
        self.workers: list[tuple[WorkerIdentity, ModelWorker]] = []
        for number, executor_id in enumerate(ADDRESSES):
            identity = WorkerIdentity(f"worker-{number}", uuid4(), executor_id)
            register(self.queue, identity, families=FAMILIES)
            self.workers.append((identity, ModelWorker(identity.instance_id, executor_id)))

    @initialize(count=st.integers(1, 6), prefetch=st.booleans(), failed=st.booleans())
    def begin(self, count: int, prefetch: bool, failed: bool) -> None:
        """Create some jobs, claim some of them, and in every other run let one of these fail."""
        for number in range(count):
            self.enqueue("browser", self.sixth_priority if number == 5 else 5, None, 1 + number % 3)
        self.claim(0, "browser", 3, prefetch)
        if failed:
            self._settle(*self._running()[0], Outcome.FAILED, retryable=False, times=1)

    @rule(
        family=st.sampled_from(FAMILIES),
        priority=st.sampled_from((0, 5, 9)),
        executor_id=st.sampled_from((None, "mac")),
        max_attempts=st.integers(1, 3),
    )
    def enqueue(self, family: str, priority: int, executor_id: str | None, max_attempts: int) -> None:
        """Enqueue a job."""
        new = NewJob(family, {}, executor_id, priority, max_attempts)
        [enqueued] = self.queue.enqueue([new])
        assert enqueued.created
        self.jobs.append(ModelJob(enqueued.job_id, family, priority, executor_id, max_attempts))

    @rule(key=st.sampled_from(("one", "two")), other=st.booleans())
    def enqueue_with_key(self, key: str, other: bool) -> None:
        """I6: the same key finds the same job in any status; different content is rejected."""
        new = NewJob("browser", {"url": "other" if other and key in self.keys else key}, idempotency_key=key)
        if other and key in self.keys:
            with pytest.raises(DuplicateJob) as refused:
                self.queue.enqueue([new])
            assert refused.value.existing_id == str(self.keys[key])
            return
        [enqueued] = self.queue.enqueue([new])
        assert enqueued.created == (key not in self.keys)
        assert self.keys.setdefault(key, enqueued.job_id) == enqueued.job_id
        if enqueued.created:
            self.jobs.append(ModelJob(enqueued.job_id, "browser", 5, None, 5))

    @rule(pick=PICK, family=st.sampled_from(FAMILIES), max_jobs=st.integers(1, 4), prefetch=st.booleans())
    def claim(self, pick: int, family: str, max_jobs: int, prefetch: bool) -> None:
        """Claim the first due jobs; a repeated claim returns the same."""
        identity, worker = self.workers[pick % len(self.workers)]
        stopped = {("type", family), ("executor", worker.executor_id)} & self.paused
        expected = [] if stopped else claimable(self.jobs, family, worker, self._next_runs())[:max_jobs]
        token, requests = uuid4(), [ClaimRequest(family, max_jobs, prefetch)]
        claimed = self.queue.claim(token, requests, identity, lease_seconds=FAR_AWAY).jobs
        assert {job.id for job in claimed} == {job.id for job in expected}
        assert {job.lease_token for job in claimed} <= {token}
        for job in expected:
            job.claim(worker, token, prefetch=prefetch)
            [given] = [one for one in claimed if one.id == job.id]
            assert given.attempts == job.attempts
            self.attempts.append((job, given))
        if claimed:
            assert self.queue.claim(token, requests, identity, lease_seconds=FAR_AWAY).jobs == claimed

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK, who=WHO, outcome=st.sampled_from(Outcome), retryable=st.booleans(), twice=st.booleans())
    def settle(self, pick: int, who: str, outcome: Outcome, retryable: bool, twice: bool) -> None:
        """Settle an attempt as its current or former holder, optionally twice."""
        job, given = self._attempt(pick, who)
        self._settle(job, given, outcome, retryable, 1 + twice)

    @precondition(lambda self: self._running())
    @rule(pick=PICK, least_seconds=st.sampled_from((None, 7, 7200)))
    def fail_and_wait(self, pick: int, least_seconds: float | None) -> None:
        """I7: a retry is due neither before nor after the policy's delay."""
        job, given = self._running()[pick % len(self._running())]
        before = self._now()
        [answer] = self.queue.settle([Settlement(given, Outcome.FAILED, error=BROKEN, delay_seconds=least_seconds)])
        after = self._now()
        assert {answer.status} == job.settle(given.lease_token, "failed")
        if job.status == "queued":
            ceiling, least = min(10 * 2 ** (given.attempts - 1), 3600), least_seconds or 0
            at = self._next_runs()[job.id].timestamp()
            assert before + max(ceiling / 2, least) - 0.001 <= at <= after + max(ceiling, least) + 0.001
            self._postpone(job)

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK, who=WHO)
    def renew(self, pick: int, who: str) -> None:
        """Extend a lease as its current or former holder."""
        job, given = self._attempt(pick, who)
        assert self.queue.renew([given], FAR_AWAY) == [job.renew(given.lease_token)]

    @rule(pick=PICK, count=st.integers(0, 2))
    def start(self, pick: int, count: int) -> None:
        """Record which prefetched jobs have started; the others wait."""
        identity, worker = self.workers[pick % len(self.workers)]
        started = [job.id for job in self.jobs if job.status == "running" and job.worker is worker][:count]
        worker.started = set(started)
        self.queue.start(identity, started)

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """Cancel a job."""
        job = self.jobs[pick % len(self.jobs)]
        if job.cancel():
            answer = self.queue.cancel(job.id)
            assert (answer.document["status"], answer.document["cancel_requested"]) == (
                job.status,
                job.cancel_requested,
            )
        else:
            with pytest.raises(InvalidTransition):
                self.queue.cancel(job.id)

    @precondition(lambda self: self._running())
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        """Expire a lease."""
        job, _ = self._running()[pick % len(self._running())]
        job.expired = True
        self._change("lease_expires_at = now() - interval '1 s'", job)

    @rule()
    def recover(self) -> None:
        """Recover expired leases, and no others."""
        lost = [job for job in self.jobs if job.status == "running" and job.expired]
        for job in lost:
            assert job.token is not None
            self.ended_claims.add(job.token)
            job.recover()
        assert self.queue.recover().changed == len(lost)
        self._line_up(lost)

    @precondition(lambda self: self.ended_claims)
    @rule(pick=PICK)
    def repeat_a_claim_late(self, pick: int) -> None:
        """I2: a claim repeated after its lease returns only the jobs it still holds."""
        token = sorted(self.ended_claims)[pick % len(self.ended_claims)]
        claim: Json = {
            "claim_id": str(token),
            "worker_id": "worker-0",
            "families": [{"family": "browser", "max_jobs": 9}],
        }
        given = self.queue.operate("claim_jobs", claim)["jobs"]
        held = [job.id for job in self.jobs if job.status == "running" and job.token == token]
        assert {UUID(row["id"]) for row in given} == set(held)

    @precondition(lambda self: self._running())
    @rule(pick=PICK)
    def wait_for_a_dependency(self, pick: int) -> None:
        """Snooze without counting: neither attempts nor snoozes change."""
        job, given = self._running()[pick % len(self._running())]
        snooze: Json = {"job_id": str(job.id), "lease_token": str(given.lease_token), "outcome": "snoozed"}
        late: Json = {"uncounted": True, "delay_seconds": FAR_AWAY, "run_seconds": 1}
        answer = self.queue.operate("settle_jobs", {"settlements": [snooze | late]})
        assert set(answer["statuses"]) == job.settle(given.lease_token, "snoozed", counted=False)
        assert answer["job_statuses"] == [job.status]

    @precondition(lambda self: self._running())
    @rule(pick=PICK, outcome=st.sampled_from(Outcome))
    def take_over(self, pick: int, outcome: Outcome) -> None:
        """Expire a lease, claim the job by another worker, and settle by the first, which is rejected."""
        job, given = self._running()[pick % len(self._running())]
        self.expire(pick)
        self.recover()
        self.claim(1, job.family, 4, prefetch=False)
        assert self.queue.renew([given], FAR_AWAY) == [job.renew(given.lease_token)] == ["lease_lost"]
        self._settle(job, given, outcome, retryable=True, times=1)

    @rule(pick=PICK)
    def shut_down(self, pick: int) -> None:
        """Stop a worker gracefully: its jobs are requeued unchanged."""
        identity, worker = self.workers[pick % len(self.workers)]
        held = [job for job in self.jobs if job.status == "running" and job.worker is worker]
        for job in held:
            assert job.token is not None
            job.settle(job.token, "requeued")
        assert self.queue.requeue_instance(identity) == len(held)
        self._line_up(held)

    @precondition(lambda self: any(job.status == "queued" for job in self.jobs))
    @rule(pick=PICK)
    def wait(self, pick: int) -> None:
        """Let a waiting job become due."""
        waiting = [job for job in self.jobs if job.status == "queued"]
        self._make_due(waiting[pick % len(waiting)])

    @precondition(lambda self: self.jobs)
    @rule(pick=PICK)
    def wear_out(self, pick: int) -> None:
        """Let a job reach its limit of snoozes."""
        job = self.jobs[pick % len(self.jobs)]
        if job.status not in ENDED:
            job.snoozes = MAX_SNOOZES
            self._change(f"snoozes = {MAX_SNOOZES}", job)

    @invariant()
    def the_tables_are_the_model(self) -> None:
        """I1 to I5, after every step."""
        type(self).steps += 1
        rows, attempts, dead = self._tables()
        assert rows.keys() == {job.id for job in self.jobs}  # I5
        assert len({tuple(attempt[:2]) for attempt in attempts}) == len(attempts)  # I2: used once
        for job in self.jobs:
            row = rows[job.id]
            assert _facts(row) == _expected(job)
            assert 0 <= row["attempts"] <= row["max_attempts"]  # I4
            ended = {UUID(token): outcome for job_id, token, outcome in attempts if job_id == str(job.id)}
            assert ended == job.superseded
            assert len(ended) + (row["lease_token"] is not None) == job.claims  # I4: each attempt is recorded once
            if row["status"] in ENDED:
                assert self.ends.setdefault(job.id, row) == row  # I3
        assert dict(dead) == {str(j.id): j.reason for j in (*self.jobs, *self.purged) if j.replayable}  # I1

    def teardown(self) -> None:
        """I10: after a drain nothing runs, nothing waits, and every job has one end."""
        if sys.exc_info()[0] is not None:
            return  # the run has failed already
        type(self).drained += 1
        self.owner.execute("delete from public.paused")
        self.paused.clear()
        for job, _ in self._running():
            job.expired = True
            self._change("lease_expires_at = now() - interval '1 s'", job)
        self.recover()
        for job in self.jobs:
            if job.status == "queued":
                self._make_due(job)
        identity, worker = self.workers[1]
        while jobs := self.queue.claim(
            uuid4(), [ClaimRequest(f, 9) for f in FAMILIES], identity, lease_seconds=FAR_AWAY
        ).jobs:
            for given in jobs:
                [job] = [one for one in self.jobs if one.id == given.id]
                job.claim(worker, given.lease_token, prefetch=False)
                job.settle(given.lease_token, "succeeded")
            assert {s.status for s in self.queue.settle([Settlement(job, Outcome.SUCCEEDED) for job in jobs])} == {"ok"}
        self.the_tables_are_the_model()
        assert {job.status for job in self.jobs} <= set(ENDED)

    def _settle(self, job: ModelJob, given: Job, outcome: Outcome, retryable: bool, times: int) -> None:
        held = job.status == "running" and job.token == given.lease_token
        error = BROKEN if retryable else PERMANENT
        settlement = Settlement(given, outcome, error=error, delay_seconds=FAR_AWAY, run_seconds=1)
        for _ in range(times):
            allowed = job.settle(given.lease_token, outcome.value, retryable=retryable)
            [answer] = self.queue.settle([settlement])
            assert answer.status in allowed
            assert answer.job_status == (None if job.purged else job.status)
        if held and outcome is Outcome.FAILED and job.status == "queued":
            self._postpone(job)

    def _attempt(self, pick: int, who: str) -> tuple[ModelJob, Job]:
        stale = [
            (job, given) for job, given in self.attempts if job.status == "running" and job.token != given.lease_token
        ]
        among = {"holder": self._running(), "stale": stale}.get(who) or self.attempts
        return among[pick % len(among)]

    def _running(self) -> list[tuple[ModelJob, Job]]:
        return [
            (job, given) for job, given in self.attempts if job.status == "running" and job.token == given.lease_token
        ]

    def _postpone(self, job: ModelJob) -> None:
        self._change(f"next_run_at = next_run_at + interval '{FAR_AWAY} s'", job)

    def _line_up(self, jobs: list[ModelJob]) -> None:
        """Give jobs that became due at the same time an order, which a reproducible run needs."""
        for job in jobs:
            if job.status == "queued":
                self._make_due(job)

    def _make_due(self, job: ModelJob) -> None:
        job.due = True
        self._change("next_run_at = clock_timestamp()", job)

    def _change(self, assignment: str, job: ModelJob) -> None:
        self.owner.execute(f"update public.jobs set {assignment} where id = %s".encode(), (job.id,))

    def _tables(self) -> tuple[dict[UUID, Json], list[list[Any]], list[list[Any]]]:
        """Return all jobs, attempts that ended, and DLQ rows that wait for an operator."""
        row = self.owner.execute(_TABLES).fetchone()
        assert row is not None
        jobs, attempts, dead = row
        return {UUID(job["id"]): job for job in jobs}, attempts, dead

    def _next_runs(self) -> dict[UUID, Any]:
        return {row["id"]: row["next_run_at"] for row in self._rows("select id, next_run_at from public.jobs")}

    def _now(self) -> float:
        [row] = self._rows("select clock_timestamp() as now")
        return float(row["now"].timestamp())

    def _rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.Cursor(self.owner, row_factory=dict_row) as cursor:
            return cursor.execute(query.encode()).fetchall()


def _facts(row: Json) -> Json:
    waits = row["status"] == "queued"
    return {
        "status": row["status"],
        "attempts": row["attempts"],
        "snoozes": row["snoozes"],
        "lost": row["lost_attempts"],
        "cancel_requested": row["cancel_requested"],
        "lease_token": None if waits or row["lease_token"] is None else UUID(row["lease_token"]),
        "leased": row["lease_expires_at"] is not None,  # I2
        "expired": bool(row["expired"]),
        "finished": row["finished_at"] is not None,
    }


def _expected(job: ModelJob) -> Json:
    running = job.status == "running"
    return {
        "status": job.status,
        "attempts": job.attempts,
        "snoozes": job.snoozes,
        "lost": job.lost,
        "cancel_requested": job.cancel_requested,
        "lease_token": job.token,
        "leased": running,
        "expired": running and job.expired,
        "finished": job.status in ENDED,
    }
