"""Claim: which jobs a worker gets, in what order, and for how long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from uuid import uuid4

import pytest

from cogo_dagster.queue.client import Ask, Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import NewJob, Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, a_worker, add, look, running_job, settle, take, take_one


def test_a_claimed_job_carries_what_an_executor_needs(queue: Queue) -> None:
    """Everything that was enqueued arrives, with the number of the attempt and the claim's id as lease token."""
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


def test_claiming_writes_down_who_runs_the_job(queue: Queue) -> None:
    """The row names the worker and its start, and the attempt has begun."""
    job_id = add(queue)
    worker = a_worker("box-7")
    take_one(queue, worker=worker)
    row = look(queue, job_id)
    assert (row["status"], row["worker_id"], row["instance_id"]) == ("running", "box-7", str(worker.instance_id))
    assert row["claimed_at"] == row["started_at"]


def test_jobs_enqueued_together_run_in_the_order_given(queue: Queue) -> None:
    """A batch is first in, first out."""
    added = [job.job_id for job in queue.enqueue([NewJob("browser") for _ in range(20)])]
    assert [job.id for job in take(queue)] == added


def test_the_job_enqueued_first_runs_first(queue: Queue) -> None:
    """Jobs of one priority are first in, first out across calls too."""
    added = [add(queue) for _ in range(5)]
    assert [take_one(queue).id for _ in added] == added


def test_a_lower_priority_number_runs_first(queue: Queue) -> None:
    """Priority 0 goes before 5 before 9, whenever they were enqueued."""
    added = {priority: add(queue, priority=priority) for priority in (9, 5, 0, 3)}
    assert [take_one(queue).id for _ in added] == [added[0], added[3], added[5], added[9]]


def test_one_claim_returns_jobs_by_priority(queue: Queue) -> None:
    """The order inside one answer is that of running."""
    added = {priority: add(queue, priority=priority) for priority in (9, 5, 0)}
    assert [job.id for job in take(queue)] == [added[0], added[5], added[9]]


def test_a_job_of_the_future_waits(queue: Queue, age: Age) -> None:
    """`run_in_seconds` holds a job back until its time has come."""
    job_id = add(queue, run_in_seconds=60)
    assert take(queue) == []
    age(job_id, 61)
    assert take_one(queue).id == job_id


def test_a_worker_without_executor_id_serves_unaddressed_jobs_only(queue: Queue) -> None:
    """A job addressed to an executor waits for a worker that serves it."""
    addressed, unaddressed = add(queue, executor_id="mac"), add(queue)
    assert [job.id for job in take(queue)] == [unaddressed]
    assert look(queue, addressed)["status"] == "queued"


def test_a_worker_with_an_executor_id_serves_its_own_and_unaddressed_jobs(queue: Queue) -> None:
    """It leaves those of other executors, and takes its own first."""
    unaddressed, mine, others = add(queue), add(queue, executor_id="mac"), add(queue, executor_id="linux")
    assert [take_one(queue, worker=a_worker(executor_id="mac")).id for _ in range(2)] == [mine, unaddressed]
    assert take(queue, worker=a_worker(executor_id="mac")) == []
    assert look(queue, others)["status"] == "queued"


def test_a_family_is_the_type_up_to_its_first_dot(queue: Queue) -> None:
    """Asking for `browser` returns `browser` and `browser.pdf`, and not `browserless`."""
    plain, pdf, other = add(queue, "browser"), add(queue, "browser.pdf"), add(queue, "browserless")
    assert [job.id for job in take(queue)] == [plain, pdf]
    assert [job.id for job in take(queue, families=["browserless"])] == [other]


def test_each_family_has_its_own_limit(queue: Queue) -> None:
    """Two browser jobs and one figma job, though more of both are due."""
    for type in ("browser", "figma") * 3:
        add(queue, type)
    jobs = queue.claim(uuid4(), [Ask("browser", 2), Ask("figma", 1)], a_worker(), lease_seconds=60)
    assert sorted(job.type for job in jobs) == ["browser", "browser", "figma"]


def test_max_jobs_limits_all_families_together_and_the_first_named_is_served_first(queue: Queue) -> None:
    """With room for three, the second family gets what the first one leaves."""
    for type in ("browser", "figma") * 2:
        add(queue, type)
    jobs = queue.claim(uuid4(), [Ask("figma", 9), Ask("browser", 9)], a_worker(), lease_seconds=60, max_jobs=3)
    assert sorted(job.type for job in jobs) == ["browser", "figma", "figma"]


def test_asking_for_none_claims_none(queue: Queue) -> None:
    """A limit of zero, for a family or for all, is not an error."""
    add(queue)
    assert take(queue, 0) == []
    assert queue.claim(uuid4(), [], a_worker(), lease_seconds=60) == []


def test_the_same_claim_id_returns_the_same_jobs(queue: Queue) -> None:
    """A claim whose reply was lost is repeated: no second attempt is counted and no other job taken."""
    for _ in range(4):
        add(queue)
    claim_id = uuid4()
    first = take(queue, 2, claim_id=claim_id)
    assert take(queue, 2, claim_id=claim_id) == first
    assert [job.attempts for job in first] == [1, 1]
    assert queue.stats().document["ready"] == 2


def test_a_repeated_claim_leaves_out_what_has_ended(queue: Queue) -> None:
    """Only jobs that still run under the claim come back."""
    add(queue), add(queue)
    claim_id = uuid4()
    first, second = take(queue, 2, claim_id=claim_id)
    settle(queue, first)
    assert take(queue, 2, claim_id=claim_id) == [second]


def test_claimers_never_share_a_job(queue: Queue) -> None:
    """Eight workers claim at once until nothing is left: every job goes to exactly one."""
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
    """It ends lease_seconds after the claim, as the server counts."""
    add(queue)
    job = take(queue, lease_seconds=600)[0]
    row = look(queue, job)
    length = datetime.fromisoformat(row["lease_expires_at"]) - datetime.fromisoformat(row["claimed_at"])
    assert length.total_seconds() == 600
    age_seconds = owner.execute("select extract(epoch from now() - claimed_at) from public.jobs").fetchone()
    assert age_seconds is not None
    assert 0 <= age_seconds[0] < 60


def test_the_next_due_job_is_the_soonest_one_of_ours(queue: Queue) -> None:
    """Of the families asked for, anybody's or ours, of any priority; what is due already does not count."""
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
    """A job that failed and waits for its second attempt is known, with the time it still waits."""
    settle(queue, running_job(queue), Outcome.FAILED, error=BROKEN, delay_seconds=500)
    seconds = queue.next_due(["browser"])
    assert seconds is not None
    assert 400 < seconds <= 500


@pytest.mark.parametrize(
    ("wrong", "sentence"),
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
def test_a_wrong_argument_of_claim_is_refused(transport: Transport, wrong: dict[str, object], sentence: str) -> None:
    """Each gets a sentence, and nothing is claimed."""
    right = {"claim_id": str(uuid4()), "families": [{"family": "browser", "max_jobs": 1}], "worker_id": "worker"}
    with pytest.raises(InvalidArgument, match=sentence):
        transport.call("claim_jobs", right | wrong)
