"""Claim: which jobs a worker gets, in which order, and for how long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import ClaimRequest, Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import NewJob, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, a_worker, add, look, running_job, settle, take, take_one


def test_a_claimed_job_has_every_field_an_executor_needs(queue: Queue) -> None:
    """All enqueued fields are returned, with the attempt number and the claim ID as lease token."""
    job_id = add(
        queue,
        "browser.pdf",
        payload={"url": "https://example.com", "nested": [1, None, "ü"]},
        executor_id="mac",
        priority=2,
        max_attempts=3,
        idempotency_key="once",
        timeout_seconds=1.5,
    )
    claim_id = uuid4()
    [job] = take(queue, worker=a_worker(executor_id="mac"), claim_id=claim_id)
    assert (job.id, job.type, job.family) == (job_id, "browser.pdf", "browser")
    assert job.payload == {"url": "https://example.com", "nested": [1, None, "ü"]}
    assert (job.executor_id, job.priority, job.attempts, job.max_attempts) == ("mac", 2, 1, 3)
    assert (job.idempotency_key, job.timeout_seconds, job.lease_token) == ("once", 1.5, claim_id)


def test_claiming_records_the_worker(queue: Queue) -> None:
    """The row names the worker and its instance, and the attempt has begun."""
    job_id = add(queue)
    worker = a_worker("box-7")
    take_one(queue, worker=worker)
    row = look(queue, job_id)
    assert (row["status"], row["worker_id"], row["instance_id"]) == ("running", "box-7", str(worker.instance_id))
    assert row["claimed_at"] == row["started_at"]


def test_jobs_enqueued_together_run_in_the_order_given(queue: Queue) -> None:
    """The jobs of a batch are claimed first in, first out."""
    added = [job.job_id for job in queue.enqueue([NewJob("browser") for _ in range(20)])]
    assert [job.id for job in take(queue)] == added


def test_the_job_enqueued_first_runs_first(queue: Queue) -> None:
    """Jobs of the same priority are claimed first in, first out across calls."""
    added = [add(queue) for _ in range(5)]
    assert [take_one(queue).id for _ in added] == added


def test_a_lower_priority_number_runs_first(queue: Queue) -> None:
    """Priority 0 is claimed before 5 and 9, whatever the order of enqueuing."""
    added = {priority: add(queue, priority=priority) for priority in (9, 5, 0, 3)}
    assert [take_one(queue).id for _ in added] == [added[0], added[3], added[5], added[9]]


def test_one_claim_returns_jobs_by_priority(queue: Queue) -> None:
    """The jobs of one claim are returned by priority."""
    added = {priority: add(queue, priority=priority) for priority in (9, 5, 0)}
    assert [job.id for job in take(queue)] == [added[0], added[5], added[9]]


def test_a_scheduled_job_is_not_claimed_before_its_time(queue: Queue, age: Age) -> None:
    """`run_in_seconds` delays the first claim."""
    job_id = add(queue, run_in_seconds=60)
    assert take(queue) == []
    age(job_id, 61)
    assert take_one(queue).id == job_id


def test_a_worker_without_executor_id_serves_unaddressed_jobs_only(queue: Queue) -> None:
    """A job with an executor ID waits for a worker that serves it."""
    addressed, unaddressed = add(queue, executor_id="mac"), add(queue)
    assert [job.id for job in take(queue)] == [unaddressed]
    assert look(queue, addressed)["status"] == "queued"


def test_a_worker_with_an_executor_id_serves_its_own_and_unaddressed_jobs(queue: Queue) -> None:
    """The worker leaves jobs of other executors, and claims its own first."""
    unaddressed, mine, others = add(queue), add(queue, executor_id="mac"), add(queue, executor_id="linux")
    assert [take_one(queue, worker=a_worker(executor_id="mac")).id for _ in range(2)] == [mine, unaddressed]
    assert take(queue, worker=a_worker(executor_id="mac")) == []
    assert look(queue, others)["status"] == "queued"


def test_a_family_is_the_type_up_to_its_first_dot(queue: Queue) -> None:
    """A claim for `browser` returns `browser` and `browser.pdf`, and not `browserless`."""
    plain, pdf, other = add(queue, "browser"), add(queue, "browser.pdf"), add(queue, "browserless")
    assert [job.id for job in take(queue)] == [plain, pdf]
    assert [job.id for job in take(queue, families=["browserless"])] == [other]


def test_each_family_has_its_own_limit(queue: Queue) -> None:
    """Two browser jobs and one figma job are claimed, though more of both are due."""
    for type in ("browser", "figma") * 3:
        add(queue, type)
    jobs = queue.claim(
        uuid4(), [ClaimRequest("browser", 2), ClaimRequest("figma", 1)], a_worker(), lease_seconds=60
    ).jobs
    assert sorted(job.type for job in jobs) == ["browser", "browser", "figma"]


def test_max_jobs_limits_all_families_together_and_the_first_named_is_served_first(queue: Queue) -> None:
    """With a limit of three, the second family gets what the first one leaves."""
    for type in ("browser", "figma") * 2:
        add(queue, type)
    jobs = queue.claim(
        uuid4(), [ClaimRequest("figma", 9), ClaimRequest("browser", 9)], a_worker(), lease_seconds=60, max_jobs=3
    ).jobs
    assert sorted(job.type for job in jobs) == ["browser", "figma", "figma"]


def test_a_limit_of_zero_claims_nothing(queue: Queue) -> None:
    """A limit of zero, for a family or in total, is valid."""
    add(queue)
    assert take(queue, 0) == []
    assert queue.claim(uuid4(), [], a_worker(), lease_seconds=60).jobs == []


def test_the_same_claim_id_returns_the_same_jobs(queue: Queue) -> None:
    """A repeated claim counts no second attempt and claims no other job."""
    for _ in range(4):
        add(queue)
    claim_id = uuid4()
    first = take(queue, 2, claim_id=claim_id)
    assert take(queue, 2, claim_id=claim_id) == first
    assert [job.attempts for job in first] == [1, 1]
    assert queue.stats().document["ready"] == 2


def test_a_repeated_claim_omits_finished_jobs(queue: Queue) -> None:
    """Only jobs that still run under the claim are returned."""
    add(queue)
    add(queue)
    claim_id = uuid4()
    first, second = take(queue, 2, claim_id=claim_id)
    settle(queue, first)
    assert take(queue, 2, claim_id=claim_id) == [second]


def test_concurrent_claims_never_share_a_job(queue: Queue) -> None:
    """Eight workers claim until nothing is left: every job is claimed by exactly one."""
    added = {job.job_id for job in queue.enqueue([NewJob("browser") for _ in range(200)])}
    together = Barrier(8)

    def drain() -> list[str]:
        together.wait()
        claimed = []
        while jobs := take(queue, 7):
            claimed += [str(job.id) for job in jobs]
        return claimed

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for future in [pool.submit(drain) for _ in range(8)] for job_id in future.result()]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) == {str(job_id) for job_id in added}


def test_the_lease_ends_by_the_database_clock(queue: Queue, owner: Owner) -> None:
    """The lease ends `lease_seconds` after the claim by the server's clock."""
    add(queue)
    job = take(queue, lease_seconds=600)[0]
    row = look(queue, job)
    length = datetime.fromisoformat(row["lease_expires_at"]) - datetime.fromisoformat(row["claimed_at"])
    assert length.total_seconds() == 600
    age_seconds = owner.execute("select extract(epoch from now() - claimed_at) from public.jobs").fetchone()
    assert age_seconds is not None
    assert 0 <= age_seconds[0] < 60


def test_the_next_due_job_is_the_soonest_claimable_one(queue: Queue) -> None:
    """The requested families count, unaddressed or addressed to the executor, in any priority; due jobs do not."""
    assert queue.next_due(["browser", "figma"]) is None
    add(queue)
    add(queue, "browser", run_in_seconds=3600)
    add(queue, "browser.pdf", run_in_seconds=1800, priority=9)
    add(queue, "browser", run_in_seconds=900, executor_id="mine")
    add(queue, "figma", run_in_seconds=60)
    seconds = [
        queue.next_due(["browser"]),
        queue.next_due(["browser"], "mine"),
        queue.next_due(["browser"], "another"),
        queue.next_due(["figma", "browser"], "mine"),
    ]
    assert [round(s, -2) if s else s for s in seconds] == [1800, 900, 1800, 100]
    assert queue.next_due(["gate"]) is None


def test_a_retry_is_the_next_due_job(queue: Queue) -> None:
    """A job that waits for its second attempt counts, with its remaining delay."""
    settle(queue, running_job(queue), Outcome.FAILED, error=BROKEN, delay_seconds=500)
    seconds = queue.next_due(["browser"])
    assert seconds is not None
    assert 400 < seconds <= 500


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lease_seconds": 0}, "lease_seconds must be 1 to 86400."),
        ({"lease_seconds": 86_401}, "lease_seconds must be 1 to 86400."),
        ({"lease_seconds": None}, "lease_seconds must be 1 to 86400."),
        ({"claim_id": None}, "claim_id must be a uuid"),
        ({"claim_id": "no uuid"}, "uuid"),
        ({"families": None}, "families an array"),
        ({"families": {"family": "browser"}}, "families an array"),
        ({"max_jobs": -1}, "max_jobs must be 0 or more"),
    ],
)
def test_an_invalid_claim_is_rejected(transport: Transport, wrong: dict[str, object], message: str) -> None:
    """Each has its own message, and nothing is claimed."""
    right = {"claim_id": str(uuid4()), "families": [{"family": "browser", "max_jobs": 1}], "worker_id": "worker"}
    with pytest.raises(InvalidArgument, match=message):
        transport.call("claim_jobs", right | wrong)
