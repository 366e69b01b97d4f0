"""The dead man's switch: called every minute while the system works, and not otherwise."""

from collections.abc import Iterator

import pytest

from cogo_dagster.alerts.deadman import DeadManFailed, DeadManSwitch
from cogo_dagster.alerts.service import Alerts
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import SettingsError, load_settings
from cogo_dagster_tests.alerts.receivers import Receiver, Reply, anything, receiving
from cogo_dagster_tests.alerts.steps import deliver, evaluate, fail_job
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run the receiver of the calls."""
    with receiving(anything) as receiver:
        yield receiver


@pytest.fixture
def switch(transport: Transport, receiver: Receiver) -> DeadManSwitch:
    """Return a switch that calls the receiver."""
    return DeadManSwitch(
        transport,
        load_settings(COGO_DEADMAN_URL=receiver.url("/ping/s3cr3t"), WEBHOOK_ALLOWED_HOSTS=receiver.authority),
    )


def works(transport: Transport) -> str | None:
    """Return the reason why the switch is not called; None if it is."""
    reason: str | None = transport.call("claim_deadman_ping", {"interval_seconds": 1e-9})["reason"]
    return reason


def test_all_processes_share_the_interval(
    transport: Transport, switch: DeadManSwitch, receiver: Receiver, owner: Owner
) -> None:
    """The URL is called once per minute by the first caller."""
    evaluate(transport)
    assert [switch.call_if_due(), switch.call_if_due()] == [True, False]
    owner.execute("update public.deadman set pinged_at = pinged_at - interval '61 seconds'")
    assert switch.call_if_due()
    assert [(request.method, request.path) for request in receiver.requests] == [("GET", "/ping/s3cr3t")] * 2


def test_without_a_url_nothing_happens(transport: Transport, owner: Owner) -> None:
    """Nothing is called, and nothing written to the database."""
    evaluate(transport)
    assert not DeadManSwitch(transport, load_settings()).call_if_due()
    assert owner.execute("select count(*) from public.deadman").fetchone() == (0,)


def test_it_is_not_called_while_no_pass_runs(
    transport: Transport, switch: DeadManSwitch, receiver: Receiver, owner: Owner
) -> None:
    """Failures that no pass looks for would not be reported."""
    assert works(transport) == "Alerts have not been evaluated for five minutes."
    evaluate(transport)
    owner.execute("update public.alert_cursors set seen_at = seen_at - interval '6 minutes'")
    assert not switch.call_if_due()
    assert receiver.requests == []


def test_it_is_not_called_while_alerts_are_undelivered(transport: Transport, queue: Queue, owner: Owner) -> None:
    """An alert that has been firing for 15 minutes without a delivery stops the calls; a delivery resumes them."""
    fail_job(queue)
    evaluate(transport)
    assert works(transport) is None
    owner.execute("update public.alerts set first_seen_at = first_seen_at - interval '16 minutes'")
    owner.execute("update public.alert_deliveries set created_at = created_at - interval '16 minutes'")
    assert works(transport) == "An alert has waited 15 minutes for its first delivery."
    deliver(transport)
    assert works(transport) is None


def test_without_targets_undelivered_alerts_are_fine(transport: Transport, queue: Queue, owner: Owner) -> None:
    """If WEBHOOK_TYPE is not set, alerts are recorded only, and the calls continue."""
    fail_job(queue)
    evaluate(transport, [])
    owner.execute("update public.alerts set first_seen_at = first_seen_at - interval '1 day'")
    assert works(transport) is None


def test_it_is_not_called_while_jobs_are_due_without_a_worker(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Jobs that are due for ten minutes without a live worker stop the calls; a backlog with a worker does not."""
    evaluate(transport)
    add(queue)
    assert works(transport) is None
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '11 minutes'")
    assert works(transport) == "Jobs have been due for ten minutes, and no worker is alive."
    register(queue, a_worker())
    assert works(transport) is None


def test_paused_jobs_need_no_worker(transport: Transport, queue: Queue, owner: Owner) -> None:
    """Jobs of a paused type may be due without a worker."""
    evaluate(transport)
    add(queue)
    owner.execute("update public.jobs set next_run_at = next_run_at - interval '11 minutes'")
    transport.call("pause", {"kind": "type", "name": "browser", "actor": "me", "reason": "maintenance"})
    assert works(transport) is None


def test_a_failed_call_is_reported_without_the_url(
    transport: Transport, switch: DeadManSwitch, receiver: Receiver
) -> None:
    """The message has the status and not the URL, which is a secret."""
    evaluate(transport)
    receiver.down = Reply(404)
    with pytest.raises(DeadManFailed, match=r"^COGO_DEADMAN_URL responded with 404: check the URL\.$"):
        switch.call_if_due()


def test_private_addresses_are_rejected_unless_allowed(transport: Transport, receiver: Receiver) -> None:
    """A private address needs an entry in WEBHOOK_ALLOWED_HOSTS, as for webhooks."""
    evaluate(transport)
    with pytest.raises(DeadManFailed, match="WEBHOOK_ALLOWED_HOSTS"):
        DeadManSwitch(transport, load_settings(COGO_DEADMAN_URL=receiver.url())).call_if_due()
    assert receiver.requests == []


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com/ping", "https://", "https://a b"])
def test_the_url_is_validated_at_start(url: str) -> None:
    """An invalid URL raises SettingsError with the name of the setting."""
    with pytest.raises(SettingsError, match="COGO_DEADMAN_URL"):
        load_settings(COGO_DEADMAN_URL=url)


def test_the_loop_calls_it_without_any_target(transport: Transport, receiver: Receiver) -> None:
    """Without targets, a pass of the loop still evaluates alerts and calls the switch."""
    settings = load_settings(COGO_DEADMAN_URL=receiver.url(), WEBHOOK_ALLOWED_HOSTS=receiver.authority)
    reported: list[str] = []
    Alerts(transport, settings).loop(reported.append).run_once()
    assert (len(receiver.accepted), reported) == (1, [])
