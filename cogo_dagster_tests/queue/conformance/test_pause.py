"""Pause and explain: which jobs are not claimed, and why a job has its status."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import JobError, Json, NewJob, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import (
    BROKEN,
    PERMANENT,
    a_worker,
    add,
    documents,
    register,
    running_job,
    settle,
    take,
)


def test_a_paused_type_is_not_claimed_until_it_is_resumed(queue: Queue) -> None:
    """A pause includes subtypes; other types are still claimed."""
    add(queue)
    add(queue, "browser.pdf")
    gate = add(queue, "gate")
    queue.pause("type", "browser", actor="me")
    assert [job.id for job in take(queue, families=("browser", "gate"))] == [gate]
    queue.resume("type", "browser", actor="me")
    assert len(take(queue)) == 2


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [
        ("type", "browser", True),
        ("type", "browser.pdf", True),
        ("type", "brwoser", False),
        ("type", "browser.pfd", False),
        ("type", "figma", True),
        ("executor", "mac", True),
        ("executor", "box", True),
        ("executor", "mcabook", False),
    ],
)
def test_a_pause_of_an_unknown_name_is_reported(queue: Queue, kind: str, name: str, *, known: bool) -> None:
    """Names of workers and of jobs are known; others are paused too, since their first job may come later."""
    register(queue, a_worker(executor_id="mac"), families=("figma",))
    queue.enqueue([NewJob("browser.pdf", executor_id="box")])
    change = queue.pause(kind, name, actor="me")
    assert (change.changed, change.known) == (True, known)


def test_a_paused_subtype_does_not_pause_its_family(queue: Queue) -> None:
    """browser.pdf waits, browser and browser.pdfs run."""
    add(queue, "browser.pdf")
    add(queue, "browser.pdf.small")
    running = {add(queue), add(queue, "browser.pdfs")}
    queue.pause("type", "browser.pdf", actor="me")
    assert {job.id for job in take(queue)} == running


def test_a_paused_executor_claims_nothing(queue: Queue) -> None:
    """Neither its own nor unaddressed jobs are claimed; other workers still claim."""
    queue.enqueue([NewJob("browser", executor_id="mac")])
    unaddressed = add(queue)
    queue.pause("executor", "mac", actor="me")
    assert take(queue, worker=a_worker(executor_id="mac")) == []
    assert [job.id for job in take(queue)] == [unaddressed]


def test_claim_one_job_respects_a_pause(queue: Queue, transport: Transport) -> None:
    """claim_one_job skips the paused type and claims the next job."""
    add(queue)
    gate = add(queue, "gate")
    queue.pause("type", "browser", actor="me")
    call = {"executor_id": "box", "worker_id": "old"}
    assert transport.call("claim_one_job", call)["id"] == str(gate)
    assert transport.call("claim_one_job", call) is None


def test_a_pause_affects_neither_running_nor_new_jobs(queue: Queue) -> None:
    """A pause stops claims only."""
    job = running_job(queue)
    queue.pause("type", "browser", actor="me")
    assert settle(queue, job).status == "ok"
    add(queue)
    assert take(queue) == []


def test_paused_jobs_are_not_ready(queue: Queue) -> None:
    """Otherwise a sensor would keep starting workers for them."""
    add(queue)
    add(queue, "browser.pdf")
    add(queue, "gate")
    queue.pause("type", "browser.pdf", actor="me")
    queue.pause("type", "gate", actor="me")
    stats = queue.stats()
    assert (stats.document["ready"], stats.document["ready_by_family"], stats.document["paused"]) == (
        1,
        {"browser": 1},
        2,
    )


def test_pausing_is_idempotent(queue: Queue) -> None:
    """The pause keeps its first actor."""
    assert queue.pause("type", "browser", reason="broken", actor="anna").document["changed"] is True
    assert queue.pause("type", "browser", actor="ben").document["changed"] is False
    [paused] = queue.list_paused()
    assert (paused.document["kind"], paused.document["name"], paused.document["actor"], paused.document["reason"]) == (
        "type",
        "browser",
        "anna",
        "broken",
    )
    assert queue.resume("type", "browser", actor="ben").document["changed"] is True
    assert queue.resume("type", "browser", actor="ben").document["changed"] is False
    assert [(one.document["operation"], one.document["actor"]) for one in queue.list_operations()] == [
        ("resume", "ben"),
        ("pause", "anna"),
    ]


@pytest.mark.parametrize(("kind", "name"), [("queue", "x"), ("type", "Browser"), ("type", ".*"), ("executor", "")])
def test_an_invalid_name_is_rejected(queue: Queue, kind: str, name: str) -> None:
    """A pause with a misspelt name would pause nothing."""
    with pytest.raises(InvalidArgument):
        queue.pause(kind, name, actor="me")


def test_a_scheduled_job_has_the_reason_scheduled(queue: Queue) -> None:
    """The explanation has the time at which it becomes due."""
    add(queue, run_in_seconds=600)
    [fact] = _why(queue)
    assert (fact["why"], fact["attempts"]) == ("waiting", 0)
    assert datetime.fromisoformat(fact["next_run_at"]) > datetime.now(UTC)


def test_a_snoozed_job_has_its_reason(queue: Queue) -> None:
    """The executor's reason is shown until the job runs again."""
    job = running_job(queue)
    settle(queue, job, Outcome.SNOOZED, error=JobError("snoozed", "Figma allows no call."), delay_seconds=600)
    assert _fact(queue, job.id)["snoozed"] == "Figma allows no call."


def test_a_due_job_names_the_missing_worker(queue: Queue) -> None:
    """No worker at all, of its family, with its executor ID, or with a free slot; else the number of jobs before it."""
    job = queue.enqueue([NewJob("browser", executor_id="mac")])[0].job_id
    assert _fact(queue, job) == {"why": "no_worker", "family": "browser", "executor_id": "mac"}
    register(queue, a_worker("gates"), families=("gate",))
    assert _fact(queue, job) == {"why": "no_executor", "family": "browser", "executor_id": "mac"}
    register(queue, a_worker("other"))
    assert _fact(queue, job) == {"why": "no_address", "family": "browser", "executor_id": "mac"}
    mac = a_worker("mac", "mac")
    register(queue, mac, concurrency=2)
    add(queue, priority=0)
    add(queue, priority=0)
    [running, _] = take(queue, 2, worker=mac)
    assert _fact(queue, job) == {"why": "busy", "slots": 2}
    settle(queue, running)
    assert _fact(queue, job) == {"why": "in_line", "ahead": 0}


def test_a_due_job_counts_those_before_it(queue: Queue) -> None:
    """Jobs of a higher priority count, and earlier ones of the same."""
    register(queue, a_worker())
    add(queue, priority=0)
    add(queue)
    add(queue, priority=9)
    last = add(queue)
    assert _fact(queue, last) == {"why": "in_line", "ahead": 2}


def test_a_paused_job_names_the_actor_of_the_pause(queue: Queue) -> None:
    """The pause and its reason take precedence over other reasons."""
    job = add(queue, "browser.pdf", run_in_seconds=600)
    queue.pause("type", "browser", reason="broken", actor="anna")
    fact = _fact(queue, job)
    assert (fact["why"], fact["kind"], fact["name"], fact["actor"], fact["reason"]) == (
        "paused", "type", "browser", "anna", "broken",
    )  # fmt: skip


def test_a_running_job_says_whether_its_worker_lives(queue: Queue, age: Age) -> None:
    """The lease shows whether the worker lives."""
    job = running_job(queue)
    assert _fact(queue, job.id)["why"] == "running"
    age(job, 120)
    assert _fact(queue, job.id)["why"] == "lease_expired"


def test_a_finished_job_has_its_outcome(queue: Queue, owner: Owner) -> None:
    """Replays and retries are included."""
    good, bad = running_job(queue), running_job(queue, max_attempts=1)
    settle(queue, good)
    settle(queue, bad, Outcome.FAILED, error=BROKEN)
    assert _fact(queue, good.id) == {"why": "succeeded"}
    assert _fact(queue, bad.id) == {"why": "failed", "reason": "out_of_attempts", "replayed_job_id": None}
    worse = running_job(queue)
    settle(queue, worse, Outcome.FAILED, error=PERMANENT)
    assert _fact(queue, worse.id)["reason"] == "permanent"


def test_unknown_jobs_are_skipped(queue: Queue) -> None:
    """get_jobs skips them too."""
    assert queue.explain([uuid4()]) == []


def _why(queue: Queue) -> list[Json]:
    return documents(queue.explain([row.id for row in queue.list_jobs()]))


def _fact(queue: Queue, job_id: UUID) -> Json:
    [fact] = queue.explain([job_id])
    assert fact.job_id == job_id
    return {name: value for name, value in fact.document.items() if name != "job_id"}
