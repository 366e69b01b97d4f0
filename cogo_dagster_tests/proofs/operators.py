"""The state machine with operators, who retry, replay, purge, pause and apply plans, fresh, stale and repeated.

Further invariants, numbered as in `machine`: I1 and I6 hold for replays too (one DLQ row, one replay, one job), I5:
only a purge deletes jobs, and only finished ones, I4 counts the attempts of retried jobs.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cogo_dagster.queue.bulk import Operation, perform, perform_items, preview
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster_tests.proofs.machine import FAMILIES, PICK, Database, QueueMachine
from cogo_dagster_tests.proofs.model import ENDED, ModelJob

REPLAY: Final = Operation("replay_dlq")
STATUSES: Final = st.sampled_from((["succeeded", "cancelled"], ["failed"], list(ENDED)))
OPERATIONS: Final = st.sampled_from(("retry_failed", "replay_dlq", "purge_jobs"))


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """The rows of a dry run, and how often each job had been retried then: a higher number means another failure."""

    operation: Operation
    items: list[Json]
    retries: dict[UUID, int]


class OperatorMachine(QueueMachine):
    """Workers as in QueueMachine, and operators."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.plans: list[KeptPlan] = []

    @rule(family=st.sampled_from((None, *FAMILIES)), reset_attempts=st.booleans(), twice=st.booleans())
    def retry(self, family: str | None, reset_attempts: bool, twice: bool) -> None:
        """Retry failed jobs; a repeated action returns the same result."""
        chosen = [job for job in self.jobs if job.retryable and family in (None, job.family)]
        operation = Operation("retry_failed", {"type_prefix": family, "reset_attempts": reset_attempts})
        self._act(operation, len(chosen), twice)
        self._retried(chosen, reset_attempts=reset_attempts)

    @rule(twice=st.booleans())
    def replay(self, twice: bool) -> None:
        """Replay each open DLQ row as one new job."""
        chosen = [job for job in self._all() if job.replayable]
        answer = self._act(REPLAY, len(chosen), twice)
        self._replayed(chosen, answer["items"])

    @rule(statuses=STATUSES, twice=st.booleans())
    def purge(self, statuses: list[str], twice: bool) -> None:
        """Purge finished jobs with these statuses, and no others."""
        chosen = [job for job in self.jobs if job.status in statuses]
        self._act(Operation("purge_jobs", {"older_than_days": 0, "statuses": statuses}), len(chosen), twice)
        self._purged(chosen)

    @rule(function=OPERATIONS, statuses=STATUSES, reset_attempts=st.booleans())
    def plan(self, function: str, statuses: list[str], reset_attempts: bool) -> None:
        """Make a plan: a dry run lists exactly the matching rows."""
        arguments: Json = {
            "retry_failed": {"reset_attempts": reset_attempts},
            "replay_dlq": {},
            "purge_jobs": {"older_than_days": 0, "statuses": statuses},
        }
        operation = Operation(function, arguments[function])
        items = preview(self.queue, operation).items
        fitting = self._fitting(operation)
        assert {UUID(item["id"]) for item in items} == {job.id for job in fitting}
        self.plans.append(KeptPlan(operation, items, {job.id: job.retries for job in fitting}))

    @precondition(lambda self: self.plans)
    @rule(pick=PICK)
    def apply_plan(self, pick: int) -> None:
        """Apply a plan: it changes rows that are unchanged; applied again, none."""
        plan = self.plans[pick % len(self.plans)]
        chosen = [job for job in self._fitting(plan.operation) if plan.retries.get(job.id) == job.retries]
        done = perform_items(self.queue, plan.operation, plan.items, "machine")
        assert (done.changed, done.skipped) == (len(chosen), len(plan.items) - len(chosen))
        if plan.operation.function == "retry_failed":
            self._retried(chosen, reset_attempts=plan.operation.arguments["reset_attempts"])
        elif plan.operation.function == "replay_dlq":
            self._replayed(chosen, done.items)
        else:
            self._purged(chosen)
        assert perform_items(self.queue, plan.operation, plan.items, "machine").changed == 0

    @precondition(lambda self: any(job.retryable for job in self.jobs))
    @rule()
    def outlive_a_plan(self) -> None:
        """Retry and fail the jobs between plan and action: that is another failure."""
        self.plan("retry_failed", ["failed"], reset_attempts=False)
        self.retry(None, reset_attempts=False, twice=False)
        for family in FAMILIES:
            self.claim(1, family, 9, prefetch=False)
        for job, given in self._running():
            if job.retries:
                self._settle(job, given, Outcome.FAILED, retryable=False, times=1)
        self.apply_plan(len(self.plans) - 1)

    @rule(what=st.sampled_from((("type", "browser"), ("type", "figma"), ("executor", "mac"))), stop=st.booleans())
    def pause(self, what: tuple[str, str], stop: bool) -> None:
        """Pause or resume a type or an executor; claims of the machine respect it."""
        kind, name = what
        answer = (
            self.queue.pause(kind, name, actor="machine") if stop else self.queue.resume(kind, name, actor="machine")
        )
        assert answer.document["changed"] == ((what in self.paused) is not stop)
        (self.paused.add if stop else self.paused.discard)(what)

    @rule(family=st.sampled_from(FAMILIES))
    def claim_during_a_pause(self, family: str) -> None:
        """Pause a type that has a due job, and claim jobs of it."""
        self.pause(("type", family), stop=True)
        self.enqueue(family, 5, None, 1)
        self.claim(1, family, 9, prefetch=False)
        self.pause(("type", family), stop=False)

    @rule()
    def dry_runs_write_nothing(self) -> None:
        """Run all dry runs; the invariant compares the tables afterwards."""
        logged = self._rows("select count(*) as n from public.operations_log")
        for operation in (Operation("retry_failed"), REPLAY, Operation("purge_jobs", {"older_than_days": 0})):
            assert {UUID(item["id"]) for item in preview(self.queue, operation).items} == {
                job.id for job in self._fitting(operation)
            }
        assert self._rows("select count(*) as n from public.operations_log") == logged

    def _act(self, operation: Operation, expected: int, twice: bool) -> Json:
        if not twice:
            done = perform(self.queue, operation, "machine")
            assert (done.matched, done.changed) == (expected, expected)
            return {"items": done.items}
        action = {"id": str(uuid4()), "batch": 0, "actor": "machine"}
        call = operation.set_arguments | {"dry_run": False, "action": action}
        answer = self.queue.operate(operation.function, call)
        assert answer["changed"] == expected
        assert self.queue.operate(operation.function, call) == answer
        return answer

    def _fitting(self, operation: Operation) -> list[ModelJob]:
        if operation.function == "retry_failed":
            return [job for job in self.jobs if job.retryable]
        if operation.function == "replay_dlq":
            return [job for job in self._all() if job.replayable]
        statuses = operation.arguments.get("statuses", ["succeeded", "cancelled"])
        return [job for job in self.jobs if job.status in statuses]

    def _all(self) -> list[ModelJob]:
        return [*self.jobs, *self.purged]

    def _retried(self, jobs: list[ModelJob], *, reset_attempts: bool) -> None:
        for job in jobs:
            job.retry(reset_attempts=reset_attempts)
            self.ends.pop(job.id, None)  # the job has no end any more
        self._line_up(jobs)

    def _replayed(self, jobs: list[ModelJob], items: list[Json]) -> None:
        made = {UUID(item["id"]): UUID(item["job_id"]) for item in items}
        assert made.keys() == {job.id for job in jobs}
        assert len(set(made.values())) == len(made)
        new = []
        for job in jobs:
            job.replayed = True
            new.append(ModelJob(made[job.id], job.family, job.priority, job.executor_id, job.max_attempts))
        self.jobs.extend(new)
        self._line_up(new)

    def _purged(self, jobs: list[ModelJob]) -> None:
        gone = {job.id for job in jobs}
        for job in jobs:
            job.purged = True
        self.purged.extend(jobs)
        self.jobs = [job for job in self.jobs if job.id not in gone]
        self.keys = {key: id for key, id in self.keys.items() if id not in gone}
