"""Claims of at least 100 jobs update rows that they have not locked first, and wait only briefly for others."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, register
from cogo_dagster_tests.sql.sessions import Session

_LOCK_OF_FAMILY = "hashtextextended('cogo claims browser', 0)"

_WAIT_IN_UPDATE = """
create function public.wait_in_update() returns trigger language plpgsql as $$ begin
    while not pg_catalog.pg_try_advisory_xact_lock_shared(4711) loop
        perform pg_catalog.pg_sleep(0.001);
    end loop;
    return new;
end $$;
create trigger wait_in_update before update on public.jobs for each row execute function public.wait_in_update();
select pg_advisory_lock(4711);
"""
_WAITS = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')"

# Rows are updated without locks in a block with an exception handler, that is, in a subtransaction.
_UPDATED_WITHOUT_LOCKS = """
(select bool_and(j.xmin <> pg_current_xact_id()::xid) from public.jobs j where j.status = 'running')
"""


@pytest.fixture
def jobs(queue: Queue) -> list[str]:
    """Enqueue 120 jobs; return their IDs in the order of claims."""
    return [str(one.job_id) for one in queue.enqueue([NewJob("browser") for _ in range(120)])]


def test_a_large_claim_does_not_lock_its_rows_first(jobs: list[str], first: Session) -> None:
    """Each lock would be another record in the WAL."""
    claimed = first.call("claim_jobs", **_claim(100))
    assert first.is_true(_UPDATED_WITHOUT_LOCKS)
    first.commit()
    assert _ids(claimed) == jobs[:100]


def test_a_claim_takes_other_jobs_than_a_large_claim_that_is_not_committed(
    jobs: list[str], first: Session, second: Session
) -> None:
    """It does not wait for the commit."""
    of_first = first.call("claim_jobs", **_claim(100))
    of_second = second.call_and_commit("claim_jobs", **_claim(200))
    first.commit()
    assert _ids(of_first) == jobs[:100]
    assert _ids(of_second) == jobs[100:]


def test_a_large_claim_waits_briefly_for_another(jobs: list[str], dsn: str, owner: Owner, first: Session) -> None:
    """If the other one ends in time, this one locks no rows either; a busy machine may need several attempts."""
    for _ in range(100):
        owner.execute("vacuum (freeze) public.jobs")  # so that no row looks locked
        with ThreadPoolExecutor(1) as thread, psycopg.connect(dsn) as other:
            other.execute(f"select pg_advisory_xact_lock({_LOCK_OF_FAMILY})".encode())
            claim = thread.submit(first.call, "claim_jobs", **_claim(100))
            while not claim.done() and owner.execute(_WAITS).fetchone() != (True,):
                pass
            other.rollback()
            assert _ids(claim.result()) == jobs[:100]
        without_locks = first.is_true(_UPDATED_WITHOUT_LOCKS)
        first.rollback()
        if without_locks:
            return
    pytest.fail("All claims locked their rows.")


def test_a_large_claim_that_is_rolled_back_leaves_its_jobs_to_the_next_one(
    jobs: list[str], first: Session, second: Session
) -> None:
    """Their rows look locked, which makes no difference to the result."""
    first.call_and_rollback("claim_jobs", **_claim(100))
    assert _ids(second.call_and_commit("claim_jobs", **_claim(200))) == jobs


@pytest.mark.parametrize("cancelled", [False, True], ids=["locked", "cancelled"])
def test_a_large_claim_skips_a_job_that_another_transaction_holds(
    jobs: list[str], dsn: str, first: Session, *, cancelled: bool
) -> None:
    """It returns as many jobs as requested, without waiting."""
    change = "update public.jobs set status = 'cancelled' where id = %s"
    with psycopg.connect(dsn) as other:
        other.execute(change if cancelled else "select from public.jobs where id = %s for update", [jobs[50]])
        claimed = first.call_and_commit("claim_jobs", **_claim(100))
        other.rollback()
    assert _ids(claimed) == jobs[:50] + jobs[51:101]


@pytest.mark.parametrize("committed", [False, True], ids=["not committed", "committed"])
def test_a_job_that_changes_between_its_selection_and_its_update_is_not_claimed(
    jobs: list[str], dsn: str, owner: Owner, first: Session, *, committed: bool
) -> None:
    """The claim takes the next job instead."""
    owner.execute(_WAIT_IN_UPDATE)
    with ThreadPoolExecutor(1) as thread, psycopg.connect(dsn) as other:
        claim = thread.submit(first.call_and_commit, "claim_jobs", **_claim(100))
        while owner.execute(_WAITS).fetchone() != (True,):
            assert not claim.done(), f"the claim did not wait: {claim.result()}"
        other.execute("set session_replication_role = replica")  # without the trigger
        other.execute("update public.jobs set status = 'cancelled' where id = %s", [jobs[50]])
        if committed:
            other.commit()
        owner.execute("select pg_advisory_unlock(4711)")
        claimed = claim.result()
    assert _ids(claimed) == jobs[:50] + jobs[51:101]


def test_a_large_claim_returns_what_a_claim_with_row_locks_returns(
    queue: Queue, dsn: str, owner: Owner, first: Session
) -> None:
    """By priority, addressed jobs first, without paused types, jobs that are not due, and jobs before the cursor."""
    register(queue, a_worker(executor_id="here"))
    for priority in (5, 3, 7):
        queue.enqueue([NewJob("browser", priority=priority) for _ in range(30)])
        others = ("browser.pdf", None), ("browser", "here"), ("browser", "elsewhere")
        queue.enqueue([NewJob(type, executor_id=one, priority=priority) for type, one in others for _ in range(10)])
    queue.enqueue([NewJob("browser", run_in_seconds=3_600)])
    queue.pause("type", "browser.pdf", actor="test")
    everything = _claim(200) | {"executor_id": "here"}
    cursor = first.call_and_rollback("claim_jobs", **(_claim(100) | {"max_jobs": 10, "claim_id": str(uuid4())}))[
        "cursor"
    ]
    for arguments in (everything, everything | {"after": cursor}, _claim(100) | {"max_jobs": 100}):
        owner.execute("vacuum (freeze) public.jobs")  # so that no row looks locked
        unlocked = first.call("claim_jobs", **arguments)
        assert first.is_true(_UPDATED_WITHOUT_LOCKS)
        first.rollback()
        with psycopg.connect(dsn) as other:
            other.execute(f"select pg_advisory_xact_lock_shared({_LOCK_OF_FAMILY})".encode())
            assert first.call("claim_jobs", **arguments) == unlocked
            assert not first.is_true(_UPDATED_WITHOUT_LOCKS)
            first.rollback()
        assert len(unlocked["jobs"]) >= 90


def _claim(max_jobs: int) -> dict[str, Json]:
    return {
        "claim_id": str(uuid4()),
        "families": [{"family": "browser", "max_jobs": max_jobs}],
        "worker_id": "worker",
        "compact": True,
    }


def _ids(claimed: Json) -> list[str]:
    return [job[0] for job in claimed["jobs"]]
