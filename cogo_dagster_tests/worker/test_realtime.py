"""Over REST an idle worker is woken by Realtime; if Realtime fails, no job waits longer than the poll interval."""

from collections.abc import Iterator
from typing import Any

import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import Snooze, Workspace
from cogo_dagster.queue.model import ExecutionResult, Job
from cogo_dagster.queue.supabase.wakeup import RealtimeWakeup
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.supabase.keys import SECRET_KEY, SERVICE_ROLE
from cogo_dagster_tests.supabase.realtime import Realtime
from cogo_dagster_tests.supabase.server import StandIn, supabase
from cogo_dagster_tests.worker.bench import Bench, Running, eventually
from cogo_dagster_tests.worker.executors import FakeExecutor, succeed
from cogo_dagster_tests.worker.test_wakeup import is_idle

AN_HOUR = 3600.0
ONLY_CALLS: dict[str, Any] = {"poll_seconds": AN_HOUR, "woken_poll_seconds": AN_HOUR}
POLLS_WHILE_ALONE: dict[str, Any] = {"poll_seconds": 0.2, "woken_poll_seconds": AN_HOUR}

BROKEN_SEND = """
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void language plpgsql as $$ begin raise exception 'broken'; end $$
"""


@pytest.fixture
def way() -> str:
    """Use a database connection; the test creates its own transport."""
    return "postgres"


@pytest.fixture
def stand_in(dsn: str) -> Iterator[StandIn]:
    """Yield a project with Realtime over the test's database."""
    with supabase(dsn, realtime=True) as stand_in:
        yield stand_in


@pytest.fixture
def channels(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Realtime:
    """Return the server side of Realtime, with a client that retries quickly."""
    monkeypatch.setattr("cogo_dagster.queue.supabase.wakeup._FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("cogo_dagster.queue.supabase.wakeup._MAX_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr("cogo_dagster.queue.supabase.wakeup._JOIN_SECONDS", 2.0)
    assert stand_in.realtime is not None
    return stand_in.realtime


@pytest.fixture
def rest(stand_in: StandIn) -> Iterator[Queue]:
    """Return the queue over REST."""
    transport = SupabaseTransport(stand_in.project())
    yield Queue(transport)
    transport.close()


def calls(stand_in: StandIn, rest: Queue, warnings: list[str], key: str = SERVICE_ROLE) -> RealtimeWakeup:
    """Return the wake-up with short timeouts."""
    project = stand_in.project(key)
    return RealtimeWakeup(project, rest.send_wakeup, warnings.append, check_seconds=0.3, verify_seconds=1.0)


def runs_at_once(rest: Queue, running: Running) -> None:
    """Check that an idle worker runs a new job although no poll is due."""
    eventually(lambda: running.worker._state and running.worker._state.wakeable, "wake-ups were verified")
    eventually(lambda: is_idle(rest), "the worker reported that it is idle")
    job = add(rest)
    eventually(lambda: look(rest, job)["status"] == "succeeded", "the job ran", seconds=20)


@pytest.mark.parametrize("key", [SERVICE_ROLE, SECRET_KEY], ids=["legacy", "secret"])
def test_an_idle_worker_is_woken(bench: Bench, stand_in: StandIn, rest: Queue, key: str) -> None:
    """A worker that polls once an hour runs new jobs within moments, repeatedly, with either kind of key."""
    warnings: list[str] = []
    wakeup = calls(stand_in, rest, warnings, key)
    with bench.running(FakeExecutor(), queue=rest, wakeup=wakeup, **ONLY_CALLS) as running:
        for _ in range(3):
            runs_at_once(rest, running)
    assert warnings == []


def test_a_job_that_becomes_due_with_time_runs_in_time(bench: Bench, stand_in: StandIn, rest: Queue) -> None:
    """A snoozed job sends no wake-up: the worker looks up when it is due, and does not verify the connection again."""
    warnings: list[str] = []
    asked_for_calls: list[bool] = []

    def send_wakeup() -> bool:
        asked_for_calls.append(rest.send_wakeup())
        return asked_for_calls[-1]

    async def snooze_once(job: Job, workspace: Workspace) -> ExecutionResult:
        if len(executor.ran) == 2:
            raise Snooze("Not yet.", delay_seconds=1)
        return await succeed(job, workspace)

    executor = FakeExecutor(snooze_once)
    wakeup = RealtimeWakeup(stand_in.project(), send_wakeup, warnings.append, check_seconds=0.3, verify_seconds=1.0)
    with bench.running(executor, queue=rest, wakeup=wakeup, **ONLY_CALLS) as running:
        runs_at_once(rest, running)
        asked = len(asked_for_calls)
        snoozed = add(rest)
        eventually(lambda: look(rest, snoozed)["status"] == "succeeded", "the snoozed job ran again")
        assert len(executor.ran) == 3
        assert (len(asked_for_calls), warnings) == (asked, [])


@pytest.mark.parametrize("trouble", ["drop", "close_channels", "error_channels"])
def test_wake_ups_resume_after_a_failure(
    bench: Bench, stand_in: StandIn, rest: Queue, channels: Realtime, trouble: str
) -> None:
    """The connection breaks, or the server closes or fails the channel: the worker joins again and claims."""
    with bench.running(FakeExecutor(), queue=rest, wakeup=calls(stand_in, rest, []), **ONLY_CALLS) as running:
        runs_at_once(rest, running)
        joins = channels.joins
        getattr(channels, trouble)()
        eventually(lambda: channels.joins > joins, "the channel was joined again")
        runs_at_once(rest, running)


def test_without_realtime_the_worker_polls_and_joins_later(
    bench: Bench, stand_in: StandIn, rest: Queue, channels: Realtime
) -> None:
    """While the server rejects connections, a job waits for a poll only; the warning is logged once."""
    warnings: list[str] = []
    channels.rejecting = True
    with bench.running(
        FakeExecutor(), queue=rest, wakeup=calls(stand_in, rest, warnings), **POLLS_WHILE_ALONE
    ) as running:
        eventually(lambda: warnings, "it was said")
        job = add(rest)
        eventually(lambda: look(rest, job)["status"] == "succeeded", "the job ran")
        channels.rejecting = False
        runs_at_once(rest, running)
    assert len(warnings) == 1
    assert "it polls" in warnings[0]


def test_an_unresponsive_server_is_detected(bench: Bench, stand_in: StandIn, rest: Queue, channels: Realtime) -> None:
    """The channel is joined and no wake-up arrives: the poll that finds a job starts a verification."""
    warnings: list[str] = []
    wakeup = calls(stand_in, rest, warnings)
    options = {"poll_seconds": 0.2, "woken_poll_seconds": 1.0}
    with bench.running(FakeExecutor(), queue=rest, wakeup=wakeup, **options) as running:
        runs_at_once(rest, running)
        eventually(lambda: is_idle(rest), "the worker reported that it is idle")
        channels.silent = True
        job = add(rest)
        eventually(lambda: look(rest, job)["status"] == "succeeded", "the job ran")
        eventually(lambda: warnings, "the silence was noticed")
        assert "no wake-up arrives" in warnings[0]
        channels.silent = False
        runs_at_once(rest, running)


def test_a_database_without_broadcast_is_polled(bench: Bench, dsn: str) -> None:
    """PostgREST with a Realtime that the database cannot use: wake-ups are not relied on, joined or not."""
    warnings: list[str] = []
    with supabase(dsn, realtime=True) as stand_in:
        bench_transport = SupabaseTransport(stand_in.project())
        rest = Queue(bench_transport)
        wakeup = RealtimeWakeup(stand_in.project(), lambda: False, warnings.append)
        with bench.running(FakeExecutor(), queue=rest, wakeup=wakeup, **POLLS_WHILE_ALONE):
            eventually(lambda: warnings, "it was said")
            job = add(rest)
            eventually(lambda: look(rest, job)["status"] == "succeeded", "the job ran")
        bench_transport.close()
    assert warnings == ["This database has no realtime.send, so enqueues cannot wake this worker: it polls."]


def test_the_database_reports_whether_it_can_broadcast(queue: Queue, rest: Queue) -> None:
    """With Realtime's schema it can, over either transport."""
    assert queue.send_wakeup() is True
    assert rest.send_wakeup() is True


def test_a_plain_postgres_cannot_broadcast(queue: Queue) -> None:
    """An enqueue succeeds all the same."""
    assert queue.send_wakeup() is False
    add(queue)


def test_a_broadcast_that_fails_does_not_fail_the_enqueue(queue: Queue, dsn: str, owner: Any) -> None:
    """The enqueue succeeds if realtime.send raises, and if it must not be called."""
    with supabase(dsn, realtime=True):
        for broken in (BROKEN_SEND, "revoke usage on schema realtime from service_role, public"):
            owner.execute(broken)
            assert queue.send_wakeup() is False
            add(queue)


def test_no_connection_remains(bench: Bench, stand_in: StandIn, rest: Queue, channels: Realtime) -> None:
    """The channel is left when its worker ends."""
    with bench.running(FakeExecutor(), queue=rest, wakeup=calls(stand_in, rest, []), **ONLY_CALLS):
        eventually(lambda: channels.joined, "the channel was joined")
    eventually(lambda: not channels._links, "the connection ended", seconds=5)
