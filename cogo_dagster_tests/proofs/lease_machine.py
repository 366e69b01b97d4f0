"""Runs the model of the lease protocol against a real database: each step is executed there, and both must agree.

Expected states come from `lease_model.successors`; this module contains no rules of the protocol.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster_tests.proofs.lease_model import MAX_ATTEMPTS, Job, Protocol, State, Worker, broken_law, successors
from cogo_dagster_tests.proofs.machine import TABLES, Database

_LONG: Final = 3600
"""Longer than a run takes: a lease expires only when the model says so."""
_PROTOCOL: Final = Protocol()
_RECOVERED: Final = re.compile(r"job \d+ is recovered")
_LEAD_TO_LOST_LEASES: Final = ("is refused", "claims job", "begins to claim", "succeeds", "expires")
_NOT_AT_THE_DATABASE: Final = ("begins to claim", "succeeds", "crashes")


class LeaseMachine(RuleBasedStateMachine):
    """Two workers and two jobs, as in the model.

    Attributes:
        visited: Number of steps by kind, over all runs of this process.
    """

    visited: ClassVar[dict[str, int]] = {}

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.queue, self.owner = database.queue, database.owner
        self.owner.execute("; ".join(f"delete from public.{table}" for table in TABLES).encode())
        made = self.queue.enqueue([NewJob("browser", max_attempts=MAX_ATTEMPTS)] * 2)
        self.ids = [job.job_id for job in made]
        self.tokens: dict[int, UUID] = {}
        self.state = State((Job(),) * 2, (Worker(),) * 2)
        self.made: Counter[str] = Counter()

    @precondition(lambda self: self._steps())
    @rule(pick=st.sampled_from(range(1000)))  # of integers, Hypothesis prefers the constants in the code
    def step(self, pick: int) -> None:
        """Execute a step of a worker, or expire a lease, as the model allows."""
        steps = self._steps()
        if pick % 5 in (1, 2):  # the rarest steps of this run, so that every kind occurs
            fewest = min(self.made[_kind(name)] for name, _ in steps)
            steps = [step for step in steps if self.made[_kind(step[0])] == fewest]
        elif pick % 5 in (3, 4):
            steps = sorted(steps, key=lambda step: _rank(step[0]))[:2]
        self._execute(*steps[pick // 5 % len(steps)])

    def _execute(self, name: str, after: State) -> None:
        self._count(_kind(name))
        _, number, what = name.split(" ", 2) if name.startswith("worker") else ("", "0", name)
        worker = self.state.workers[int(number)]
        self._make(what, worker, after)
        self.state = after

    @rule()
    def recover(self) -> None:
        """Recover all expired leases, which the model does one after another, and no others."""
        while taken := next((s for s in successors(_PROTOCOL, self.state) if _RECOVERED.fullmatch(s[0])), None):
            self.state = taken[1]
            self._count("recovered")
        self.queue.recover()

    @invariant()
    def both_agree(self) -> None:
        """Status, attempts, lease holder, expiry and the recorded success agree."""
        assert broken_law(self.state) is None
        rows = {
            id: (status, attempts, token if status in ("running", "succeeded") else None, bool(expired))
            for id, status, attempts, token, expired in self.owner.execute(
                "select id, status, attempts, lease_token, lease_expires_at < now() from public.jobs"
            ).fetchall()
        }
        assert [rows[id] for id in self.ids] == [self._expected(job) for job in self.state.jobs]

    def _steps(self) -> list[tuple[str, State]]:
        return [step for step in successors(_PROTOCOL, self.state) if not _RECOVERED.fullmatch(step[0])]

    def _expected(self, job: Job) -> tuple[str, int, UUID | None, bool]:
        token = job.token if job.status == "running" else job.settled_by if job.status == "succeeded" else 0
        return (job.status, job.attempts, self._token(token) if token else None, job.expired)

    def _make(self, what: str, worker: Worker, after: State) -> None:
        """Execute the step on the database, and compare its result with the model's step."""
        if what in _NOT_AT_THE_DATABASE:
            return
        if what.startswith("claims job"):
            self._claim(worker, int(what.split()[2].rstrip(",")))
        elif what.startswith("lease of job"):
            self._change("lease_expires_at = now() - interval '1 s'", int(what.split()[3]))
        else:
            self._calls[what](self, worker)
        self._let_retries_be_due(after)

    def _claim(self, worker: Worker, index: int) -> None:
        # Either job may be the first due one.
        self._change("next_run_at = now() - interval '1 h'", index)
        self._change("next_run_at = now() - interval '1 min'", 1 - index)
        assert self._asked_for_jobs(worker) == ([self.ids[index]], False)

    def _repeat_claim(self, worker: Worker) -> None:
        held = [i for i, job in enumerate(self.state.jobs) if job.status == "running" and job.token == worker.token]
        assert self._asked_for_jobs(worker) == ([self.ids[held[0]]], False)

    def _learn_that_the_claim_ended(self, worker: Worker) -> None:
        assert self._asked_for_jobs(worker) == ([], True)

    def _asked_for_jobs(self, worker: Worker) -> tuple[list[UUID], bool]:
        claim: Json = {
            "claim_id": str(self._token(worker.token)),
            "worker_id": "worker",
            "families": [{"family": "browser", "max_jobs": 1}],
            "lease_seconds": _LONG,
        }
        answer = self.queue.operate("claim_jobs", claim)
        return [UUID(job["id"]) for job in answer["jobs"]], answer.get("claim_ended", False)

    def _renew(self, worker: Worker) -> None:
        assert self._renewed(worker) == ["ok"]

    def _learn_that_the_lease_is_lost(self, worker: Worker) -> None:
        assert self._renewed(worker) == ["lease_lost"]

    def _renewed(self, worker: Worker) -> Json:
        lease = {"job_id": str(self.ids[worker.job]), "lease_token": str(self._token(worker.token))}
        return self.queue.operate("renew_leases", {"leases": [lease], "lease_seconds": _LONG})["statuses"]

    def _fail(self, worker: Worker) -> None:
        assert self._settled(worker, "failed") == ["ok"]

    def _stop(self, worker: Worker) -> None:
        assert self._settled(worker, "requeued") == ["ok"]

    def _settle(self, worker: Worker) -> None:
        assert self._succeeded(worker) == ["ok"]

    def _be_refused(self, worker: Worker) -> None:
        assert self._succeeded(worker) == ["lease_lost"]

    def _succeeded(self, worker: Worker) -> Json:
        attempt = {
            "job_ids": [str(self.ids[worker.job])],
            "lease_tokens": [str(self._token(worker.token))],
            "run_seconds": [0.1],
        }
        answer = self.queue.operate("succeed_jobs", attempt)
        return ["ok"] if answer is None else answer["statuses"]

    def _settled(self, worker: Worker, outcome: str) -> Json:
        settlement = {
            "job_id": str(self.ids[worker.job]),
            "lease_token": str(self._token(worker.token)),
            "outcome": outcome,
        }
        return self.queue.operate("settle_jobs", {"settlements": [settlement]})["statuses"]

    def _let_retries_be_due(self, after: State) -> None:
        for index, (before, now) in enumerate(zip(self.state.jobs, after.jobs, strict=True)):
            if (before.status, now.status) == ("running", "queued"):
                self._change("next_run_at = now() - interval '1 min'", index)

    def _token(self, number: int) -> UUID:
        return self.tokens.setdefault(number, uuid4())

    def _change(self, assignment: str, index: int) -> None:
        self.owner.execute(f"update public.jobs set {assignment} where id = %s".encode(), (self.ids[index],))

    def _count(self, name: str) -> None:
        self.made[name] += 1
        self.visited[name] = self.visited.get(name, 0) + 1

    _calls: ClassVar[dict[str, Callable[["LeaseMachine", Worker], None]]] = {
        "repeats its claim": _repeat_claim,
        "learns that its claim has ended": _learn_that_the_claim_ended,
        "renews": _renew,
        "fails": _fail,
        "stops in order": _stop,
        "learns that its lease is lost": _learn_that_the_lease_is_lost,
        "settles": _settle,
        "settles, reply lost": _settle,
        "repeats its settlement": _settle,
        "is refused": _be_refused,
    }


class LostLeaseMachine(LeaseMachine):
    """Runs that begin with an attempt whose job another worker has claimed since."""

    @initialize(begun=st.sampled_from(("claims job 0", "claims job 0, reply lost", "succeeds")))
    def lose_a_lease(self, begun: str) -> None:
        """Let the lease of worker 0 expire before, while or after it executes job 0, and worker 1 claim the job."""
        self._execute_named("worker 0 begins to claim")
        if begun == "succeeds":
            self._execute_named("worker 0 claims job 0")
        self._execute_named(f"worker 0 {begun}")
        self._execute_named("lease of job 0 expires")
        self.recover()
        self._execute_named("worker 1 begins to claim", "worker 1 claims job 0")

    def _execute_named(self, *names: str) -> None:
        for name in names:
            self._execute(name, dict(self._steps())[name])


def _rank(name: str) -> int:
    """Return the place of a step in an order in which attempts end after another worker claimed their job."""
    return next((rank for rank, end in enumerate(_LEAD_TO_LOST_LEASES) if end in name), len(_LEAD_TO_LOST_LEASES))


def _kind(name: str) -> str:
    return re.sub(r"\d+", "N", name)
