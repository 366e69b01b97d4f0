"""The dead man's switch: called every minute while the system works, and not called when it does not."""

from collections.abc import Iterator

import pytest

from cogo_dagster.alerts.deadman import DeadManFailed, DeadManSwitch
from cogo_dagster.alerts.service import Alerts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, receiving
from cogo_dagster_tests.alerts.steps import deliver, fail_job, promote
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """What watches us."""
    with receiving(anything) as receiver:
        yield receiver


@pytest.fixture
def switch(transport: Transport, receiver: Receiver) -> DeadManSwitch:
    """The switch that leads to it."""
    return DeadManSwitch(
        transport,
        load_settings(COGO_DEADMAN_URL=receiver.url("/ping/s3cr3t"), WEBHOOK_ALLOWED_HOSTS=receiver.authority),
    )


def works(transport: Transport) -> str | None:
    """Return why the system does not work; None if it does."""
    reason: str | None = transport.call("claim_deadman_ping", {"interval_seconds": 1e-9})["reason"]
    return reason


def test_it_is_called_once_a_minute_by_whoever_comes_first(
    transport: Transport, switch: DeadManSwitch, receiver: Receiver, owner: Owner
) -> None:
    """Several processes share the minute."""
    promote(transport)
    assert [switch.call_if_due(), switch.call_if_due()] == [True, False]
    owner.execute("update public.deadman set pinged_at = pinged_at - interval '61 seconds'")
    assert switch.call_if_due()
    assert [(request.method, request.path) for request in receiver.requests] == [("GET", "/ping/s3cr3t")] * 2


def test_without_an_address_nothing_happens(transport: Transport, owner: Owner) -> None:
    """Not even in the database."""
    promote(transport)
    assert not DeadManSwitch(transport, load_settings()).call_if_due()
    assert owner.execute("select count(*) from public.deadman").fetchone() == (0,)


def test_it_is_not_called_while_nobody_looks_for_failures(
    transport: Transport, switch: DeadManSwitch, receiver: Receiver, owner: Owner
) -> None:
    """Whoever could tell of a failure would not."""
    assert works(transport) == "Alerts have not been evaluated for five minutes."
    promote(transport)
    owner.execute("update public.alert_cursors set seen_at = seen_at - interval '6 minutes'")
    assert not switch.call_if_due()
    assert receiver.requests == []


def test_it_is_not_called_while_alerts_do_not_arrive(transport: Transport, queue: Queue, owner: Owner) -> None:
    """One that fires for a quarter of an hour and that nobody was told; with its delivery all is well."""
    fail_job(queue)
    promote(transport)
    assert works(transport) is None
    owner.execute("update public.alerts set first_seen_at = first_seen_at - interval '16 minutes'")
    owner.execute("update public.alert_deliveries set created_at = created_at - interval '16 minutes'")
    assert works(transport) == "An alert has waited 15 minutes for its first delivery."
    deliver(transport)
    assert works(transport) is None


def test_alerts_without_any_target_are_as_wanted(transport: Transport, queue: Queue, owner: Owner) -> None:
    """WEBHOOK_TYPE is unset: they are recorded, and that is all."""
    fail_job(queue)
    promote(transport, [])
    owner.execute("update public.alerts set first_seen_at = first_seen_at - interval '1 day'")
    assert works(transport) is None


def test_it_is_not_called_while_jobs_wait_and_no_worker_is_alive(
    transport: Transport, queue: Queue, owner: Owner
) -> None:
    """Ten minutes: a launch takes less. Jobs that wait behind a living worker are a backlog."""
    promote(transport)
    add(queue)
    assert works(transport) is None
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '11 minutes'")
    assert works(transport) == "Jobs have been due for ten minutes, and no worker is alive."
    register(queue, a_worker())
    assert works(transport) is None


def test_paused_jobs_need_no_worker(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Somebody said so."""
    promote(transport)
    add(queue)
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '11 minutes'")
    transport.call("pause", {"kind": "type", "name": "browser", "actor": "me", "reason": "maintenance"})
    assert works(transport) is None


def test_a_refusal_is_said_without_the_address(transport: Transport, switch: DeadManSwitch, receiver: Receiver) -> None:
    """The address is the secret."""
    promote(transport)
    receiver.down = Reply(404)
    with pytest.raises(DeadManFailed, match=r"^The address in COGO_DEADMAN_URL answered with status 404\.$"):
        switch.call_if_due()


def test_private_addresses_are_refused_unless_they_are_allowed(transport: Transport, receiver: Receiver) -> None:
    """As for webhooks: WEBHOOK_ALLOWED_HOSTS."""
    promote(transport)
    with pytest.raises(DeadManFailed, match="WEBHOOK_ALLOWED_HOSTS"):
        DeadManSwitch(transport, load_settings(COGO_DEADMAN_URL=receiver.url())).call_if_due()
    assert receiver.requests == []


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/ping", "https://", "https://a b"])
def test_the_address_is_checked_at_the_start(url: str) -> None:
    """And hidden in the sentence."""
    with pytest.raises(SettingsError, match="COGO_DEADMAN_URL"):
        load_settings(COGO_DEADMAN_URL=url)


def test_the_loop_calls_it_without_any_target(transport: Transport, receiver: Receiver) -> None:
    """A pass looks for failures, and that is what the switch waits for."""
    settings = load_settings(COGO_DEADMAN_URL=receiver.url(), WEBHOOK_ALLOWED_HOSTS=receiver.authority)
    said: list[str] = []
    Alerts(transport, settings).loop(said.append).once()
    assert (len(receiver.accepted), said) == (1, [])
