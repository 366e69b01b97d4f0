"""An alert about dead-lettered jobs is resolved when their causes are, and not when an operator acts on them."""

from uuid import UUID

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Outcome
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster_tests.alerts.steps import alerts, deliver, evaluate, fail_job, let_pass
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import BROKEN, settle, take_one

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])


def states(transport: Transport, owner: Owner) -> list[tuple[str, bool]]:
    """Evaluate two minutes later; return the status of each alert, and whether its jobs are being retried."""
    let_pass(owner, 120)
    evaluate(transport)
    return [(row["status"], row["retrying"]) for row in alerts(transport)]


def act(transport: Transport, function: str, job_id: UUID, **more: object) -> None:
    """Retry, replay or discard a dead-lettered job."""
    transport.call(function, {"job_ids": [str(job_id)], "dry_run": False, **more})


@pytest.mark.parametrize("function", ["retry_failed", "replay_dlq"])
def test_an_alert_is_resolved_by_the_success_of_a_retry_or_replay(
    transport: Transport, queue: Queue, owner: Owner, function: str
) -> None:
    """The alert fires while the job waits and runs again, and is resolved when it has succeeded."""
    job = fail_job(queue)
    evaluate(transport)
    act(transport, function, job.id)
    assert states(transport, owner) == [("firing", True)]
    again = take_one(queue)
    assert states(transport, owner) == [("firing", True)]
    settle(queue, again)
    assert states(transport, owner) == [("resolved", False)]


@pytest.mark.parametrize("function", ["retry_failed", "replay_dlq"])
def test_a_page_that_never_works_sends_no_resolved_message(
    transport: Transport, queue: Queue, owner: Owner, function: str
) -> None:
    """Three attempts to repair it that fail are one alert, whose targets never receive that it is resolved."""
    job_id, events = fail_job(queue).id, []
    evaluate(transport)
    for _ in range(3):
        events += [message["event"] for message in deliver(transport)]
        act(transport, function, job_id)
        assert states(transport, owner) == [("firing", True)]
        again = take_one(queue)
        job_id = again.id
        while settle(queue, again, Outcome.FAILED, error=BROKEN).job_status == "queued":
            owner.execute("update public.jobs set next_run_at = clock_timestamp() where id = %s", [job_id])
            again = take_one(queue)
        let_pass(owner, 1_800)
        assert states(transport, owner) == [("firing", False)]
    assert set(events) == {"firing", "repeat"}
    assert alerts(transport)[0]["count"] == 4


def test_an_alert_fires_until_the_last_replay_of_a_replay_has_succeeded(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """The replay fails for another reason: the first alert is resolved when the replay of that replay succeeds."""
    job = fail_job(queue)
    act(transport, "replay_dlq", job.id)
    replay = take_one(queue)
    settle(queue, replay, Outcome.FAILED, error=type(BROKEN)("dns", "No such host.", retryable=False))
    assert states(transport, owner) == [("firing", False), ("firing", False)]
    act(transport, "replay_dlq", replay.id)
    settle(queue, take_one(queue))
    assert states(transport, owner) == [("resolved", False), ("resolved", False)]


def test_a_discard_resolves_an_alert_and_its_undo_opens_the_jobs_again(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """A discarded job has ended, and so has one whose replay was discarded or cancelled."""
    first, second = fail_job(queue), fail_job(queue)
    evaluate(transport)
    act(transport, "discard_dlq", first.id, reason="The page is gone.")
    act(transport, "replay_dlq", second.id)
    assert states(transport, owner) == [("firing", True)]
    replay = take_one(queue)
    queue.cancel(replay.id, actor="test")
    settle(queue, replay, Outcome.CANCELLED)
    assert states(transport, owner) == [("resolved", False)]


def test_an_open_dead_lettered_job_keeps_its_alert_firing(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Time alone resolves nothing while an operator has to act."""
    fail_job(queue)
    evaluate(transport)
    let_pass(owner, 3 * 86_400)
    assert states(transport, owner) == [("firing", False)]
