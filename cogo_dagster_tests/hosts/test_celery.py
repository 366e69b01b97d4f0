"""Runs of Dagster on two hosts by deploy/celery."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from cogo_dagster_tests.alerts.receivers import Receiver, Reply, receiving
from cogo_dagster_tests.hosts.celery import CelerySite, celery_site
from cogo_dagster_tests.hosts.world import world

pytestmark = [
    pytest.mark.linux("the hosts are Linux namespaces"),
    pytest.mark.root("only root creates network namespaces"),
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
]

RUNNING = dg.DagsterRunStatus.STARTED


@pytest.fixture(scope="module")
def alerts() -> list[Receiver]:
    """Return a list that gets the receiver of alerts."""
    return []


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory, cluster: Path, alerts: list[Receiver]) -> Iterator[CelerySite]:
    """Yield the services, with a Celery worker on B and one on C."""
    with world(tmp_path_factory.mktemp("celery"), cluster, COGO_MAX_WORKERS="2") as three, ExitStack() as stack:
        with three.a.entered():
            receiver = stack.enter_context(receiving(lambda _: Reply()))
        alerts.append(receiver)
        three.environment |= {
            "WEBHOOK_TYPE": "http",
            "WEBHOOK_URL": receiver.url(),
            "WEBHOOK_ALLOWED_HOSTS": receiver.authority,
        }
        site = stack.enter_context(celery_site(three))
        site.start_celery(three.b)
        site.start_celery(three.c)
        yield site


def test_both_hosts_get_runs(celery: CelerySite) -> None:
    """The sensor launches a second run while all slots are in use, which the other host executes."""
    world = celery.world
    ids = world.enqueue(240, seconds=2)
    world.until(lambda: world.finished(ids), "the jobs have succeeded", 300)
    counts = Counter(job["result"]["host"] for job in world.jobs(ids))
    assert set(counts) == {"b", "c"}, counts


def test_a_terminated_run_is_canceled(celery: CelerySite) -> None:
    """Its jobs are requeued without counting the attempt, and no alert is raised."""
    world = celery.world
    ids = world.enqueue(4, seconds=30)
    world.until(lambda: world.running_on(world.b) + world.running_on(world.c), "jobs run", 120)
    host = world.b if world.running_on(world.b) else world.c
    run_id = world.until(lambda: celery.run_of(host), "a run")
    assert celery.terminate(run_id)
    world.until(lambda: celery.status(run_id).name == "CANCELED", "the run is canceled", 120)
    assert all(job["attempts"] <= 1 for job in world.jobs(ids))
    world.until(lambda: world.finished(ids), "the jobs have succeeded", 200)


def test_the_run_of_a_dead_host_ends(celery: CelerySite) -> None:
    """A host is killed while disconnected: its run is reported as failed, and its jobs run on the other host."""
    world = celery.world
    ids = world.enqueue(8, seconds=20)
    world.until(lambda: world.running_on(world.b) + world.running_on(world.c), "jobs run", 120)
    host = world.b if world.running_on(world.b) else world.c
    run_id = world.until(lambda: celery.run_of(host), "a run")
    host.die()
    world.until(lambda: celery.status(run_id).name == "FAILURE", "the run has failed", 200)
    world.until(lambda: world.finished(ids), "the jobs have succeeded", 300)
    host.boot()
    celery.start_celery(host)


def test_runs_that_no_host_starts_notify_someone(celery: CelerySite, alerts: list[Receiver]) -> None:
    """Without a Celery worker, the run fails after three minutes, and the daemon itself delivers the alert."""
    world = celery.world
    world.until(lambda: not celery.runs(RUNNING), "no run is active", 200)
    for host in (world.b, world.c):
        host.die()
    # A failure that an alert of an earlier test counts is not sent again for half an hour.
    world.owner.execute("delete from public.alert_deliveries")
    world.owner.execute("delete from public.alerts")
    before = len(alerts[0].accepted)
    [job_id] = world.enqueue(1)
    world.until(lambda: len(alerts[0].accepted) > before, "an alert is delivered", 400)
    assert world.jobs([job_id])[0]["status"] == "queued"
