"""What the dashboard's pages read does not grow with the table: 50,000 finished jobs, one of which has a URL."""

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster_tests.proofs.plans import Explainer, open_explainer
from cogo_dagster_tests.proofs.test_plans import assert_by_index, assert_reads
from cogo_dagster_tests.servers import Major, TestServer

ROWS = 50_000
RARE = "https://example.com/rare"

_FILL = f"""
    insert into public.jobs (id, type, status, attempts, payload, finished_at, error)
    select lpad(to_hex(n), 32, '0')::uuid, 'browser', case when n %% 1000 = 0 then 'failed' else 'succeeded' end, 1,
           case when n = 7 or n = {ROWS} then jsonb_build_object('url', '{RARE}')
                else jsonb_build_object('n', n) end, now() - ({ROWS} - n) * interval '1 s',
           case when n %% 1000 = 0 then jsonb_build_object('class', 'dns', 'message', 'no host') end
    from generate_series(1, {ROWS}) n;
    insert into public.jobs_dlq (job_id, type, payload, attempts, max_attempts, reason, error, failed_at, created_at)
    select id, type, payload, 1, 1, 'permanent', error, finished_at, finished_at
    from public.jobs where status = 'failed';
    insert into public.job_attempts (job_id, attempt, lease_token, outcome, worker_id, claimed_at, finished_at)
    select id, 1, gen_random_uuid(), case when id < lpad(to_hex(20), 32, '0')::uuid then 'lost' else 'failed' end,
           'w', finished_at, now() - interval '1 h' from public.jobs;
    analyze public.jobs; analyze public.jobs_dlq; analyze public.job_attempts
""".replace("%%", "%")


@pytest.fixture(scope="module")
def explainer(servers: Callable[[Major], TestServer]) -> Iterator[Explainer]:
    """Fill a database once, and explain calls on a copy."""
    servers(18).template("pages", _fill, based_on="migrated")
    with servers(18).clone("pages") as dsn, open_explainer(dsn) as found:
        yield found


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as owner:
        for statement in _FILL.split(";"):
            owner.execute(statement.encode())


def job_id(number: int) -> str:
    """Return the ID of a job of the table."""
    return str(UUID(int=number))


def test_the_context_of_a_failure_is_found_by_indexes(explainer: Explainer) -> None:
    """The last success of its URL, and its neighbours of the same cause: a few rows."""
    for context in explainer.call("job_context", job_id=job_id(ROWS)):
        assert context.answer["last_success"]["job_id"] == job_id(7)
        assert context.answer["older"]["job_id"] == job_id(ROWS - 1000)
        assert context.answer["newer"] is None
        assert_by_index(context, {"jobs_pkey", "jobs_succeeded_url"})
        assert_reads(context, "jobs_succeeded_url", 1)
        assert context.blocks <= 60


def test_the_pages_of_a_week_are_read_up_to_a_limit(explainer: Explainer) -> None:
    """Few of the jobs have a URL: 5,000 of them are read, and the next call continues there."""
    window: dict[str, Json] = {"window_start": "2020-01-01T00:00:00Z", "window_end": "2100-01-01T00:00:00Z"}
    for pages in explainer.call("list_pages", **window):
        assert pages.answer["pages"] == []
        assert pages.answer["before"]["job_id"] < job_id(ROWS - 5_000)
        assert_by_index(pages, {"jobs_succeeded"})
        assert_reads(pages, "jobs_succeeded", 240 + 5_000)


def test_lost_leases_are_read_by_their_index(explainer: Explainer) -> None:
    """Attempts with another outcome are not read, and of jobs only those that are shown."""
    for losses in explainer.call("list_lease_losses", max_losses=5):
        assert losses.answer["workers"] == [{"worker_id": "w", "attempts": 19, "jobs": 19}]
        assert_by_index(losses, {"jobs_pkey"})
        assert_reads(losses, "jobs_pkey", 5)
        assert losses.blocks <= 60
