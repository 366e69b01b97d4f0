"""Every filter of `query_jobs` finds exactly the jobs that it names."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.model import JobError, Json, Outcome
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import PERMANENT, a_worker, add, register, running_job, settle, take

TIMEOUT = JobError("timeout", "It did not load.", retryable=False)


def find(queue: Queue, typed: str, release: str = "0.2.0") -> list[UUID]:
    """Return the IDs that a search finds, in its order, page by page."""
    found: list[UUID] = []
    before = None
    while True:
        page = queue.query_jobs(JobSearch.parse_strictly(typed).filter(release), before_id=before, max_jobs=2)
        found += [job.id for job in page.jobs]
        before = page.before_id
        if before is None:
            return found


def scene(queue: Queue, owner: Owner) -> dict[str, UUID]:
    """Create jobs of every status, and return them by name."""
    mac = a_worker("w-mac")
    register(queue, mac)
    slow = add(queue, "browser.pdf", payload={"url": "https://a.example/x", "viewport": {"width": 1280}})
    [job] = take(queue, worker=mac)
    settle(queue, job, Outcome.FAILED, error=TIMEOUT)
    broken = running_job(queue, "gate", payload={"command": "make"})
    settle(queue, broken, Outcome.FAILED, error=PERMANENT)
    done = running_job(queue, "browser", payload={"url": "https://b.example/"})
    settle(queue, done)
    owner.execute("update public.jobs_dlq set code_version = '0.1.10' where job_id = %s", (slow,))
    owner.execute("update public.jobs set finished_at = now() - interval '1 day' where id = %s", (slow,))
    addressed = add(queue, "browser", executor_id="mac-mini", priority=1)
    later = add(queue, "figma", run_in_seconds=3600)
    return {"slow": slow, "broken": broken.id, "done": done.id, "addressed": addressed, "later": later}


FOUND = {
    "sort:newest": "later addressed done broken slow",
    "sort:oldest": "slow broken done addressed later",
    "status:failed,succeeded": "done broken slow",
    "-status:failed status:failed,succeeded": "done",
    "type:browser": "addressed done slow",
    "type:browser -type:browser.pdf": "addressed done",
    "type:gate,figma": "later broken",
    "type:=browser": "addressed done",
    "-type:=browser,gate": "later slow",
    "family:browser status:queued": "addressed",
    "error:timeout": "slow",
    "-error:timeout sort:oldest": "broken done addressed later",
    "status:failed -error:timeout": "broken",
    "worker:w-mac": "slow",
    "host:box": "slow",
    "-host:box status:failed": "broken",
    "executor:mac-mini": "addressed",
    "priority:<2": "addressed",
    "finished:1h": "done broken",
    "finished:2d..1h": "slow",
    "finished:yesterday..": "done broken slow",
    "until:1h": "",
    "since:1h status:failed": "broken slow",
    "payload.url:https://a.example/x": "slow",
    "payload.url:https://*": "done slow",
    "payload.viewport.width:1280": "slow",
    "release:older": "slow",
    "release:0.1.10": "slow",
    "release:<0.1.9": "",
    "is:due": "addressed",
    "is:scheduled": "later",
    "is:unaddressed status:queued": "later",
    "is:dead-lettered": "broken slow",
    "is:discarded": "",
    "is:lease-expired": "",
    "a.example": "slow",
}
"""The names of the jobs that each search finds, in its order."""


def test_a_filter_finds_exactly_its_jobs(queue: Queue, owner: Owner) -> None:
    """In the order of the search, over pages of two."""
    jobs = scene(queue, owner)
    names = {job_id: name for name, job_id in jobs.items()}
    assert {typed: " ".join(names[job_id] for job_id in find(queue, typed)) for typed in FOUND} == FOUND


def test_a_search_finds_causes_ids_and_lost_leases(queue: Queue, owner: Owner) -> None:
    """A cause by its fingerprint, a job by the digits that a list shows, and what lost its lease however it ended."""
    jobs = scene(queue, owner)
    cause = next(row.fingerprint for row in queue.list_dlq() if row.job_id == jobs["slow"])
    assert find(queue, f"cause:{cause}") == [jobs["slow"]]
    assert find(queue, f"-cause:{cause} status:failed") == [jobs["broken"]]
    for part in (str(jobs["done"]), str(jobs["done"])[-8:], jobs["done"].hex[-14:], str(jobs["done"])[-12:].upper()):
        assert find(queue, f"id:{part}") == [jobs["done"]]
    assert find(queue, "id:ffffffff") == []
    held = running_job(queue, "quick")
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 s' where id = %s", (held.id,))
    queue.recover()
    assert find(queue, "lost:1h") == [held.id]
    assert find(queue, "lost:yesterday") == []


def test_yesterday_is_the_day_before_in_utc(queue: Queue, owner: Owner) -> None:
    """From midnight to midnight; the end is excluded."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    jobs = [running_job(queue) for _ in range(4)]
    times = (midnight - timedelta(days=1), midnight - timedelta(microseconds=1), midnight, midnight - timedelta(days=2))
    for job, time in zip(jobs, times, strict=True):
        settle(queue, job)
        owner.execute("update public.jobs set finished_at = %s where id = %s", (time, job.id))
    assert find(queue, "finished:yesterday sort:oldest") == [jobs[0].id, jobs[1].id]


@pytest.mark.parametrize(
    "invalid",
    [
        [],
        {"statuses": "failed"},
        {"statuses": ["done"]},
        {"statis": ["failed"]},
        {"not": {"ids": ["x"]}},
        {"created": {"from": "soon"}},
        {"created": {"from": 1e300}},
        {"ids": ["x"]},
        {"action_id": "x"},
        {"priority": {"from": "x"}},
        {"payload": ["url"]},
        {"order": "up"},
        {"conditions": ["open"]},
    ],
    ids=str,
)
def test_an_invalid_filter_is_rejected(transport: Transport, invalid: Json) -> None:
    """The message says what is wrong."""
    for function, arguments in (("query_jobs", {}), ("select_for_action", {"operation": "retry"})):
        with pytest.raises(InvalidArgument):
            transport.call(function, {"filter": invalid, **arguments})


def test_values_are_no_sql(queue: Queue, owner: Owner) -> None:
    """Text of a filter is a value."""
    scene(queue, owner)
    for name in ("error", "type", "worker", "host", "executor", "cause", "payload.a"):
        assert find(queue, f"{name}:\"x' or true or '\"") == []
    assert queue.query_jobs({"payload": [{"path": ["a') or true --"], "value": "' or true --"}]}).jobs == []
