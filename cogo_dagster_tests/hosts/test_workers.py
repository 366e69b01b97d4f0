"""`cogo worker` on two hosts: work, artifacts, and the loss of a host or of its network."""

import time
from collections import Counter

import psycopg
import pytest

from cogo_dagster_tests.alerts.steps import ignore_the_servers_uptime
from cogo_dagster_tests.hosts.conftest import Site
from cogo_dagster_tests.hosts.world import LEASE_SECONDS

pytestmark = [
    pytest.mark.linux("the hosts are Linux namespaces"),
    pytest.mark.root("only root creates network namespaces"),
    pytest.mark.timeout(400),
]


def test_both_hosts_get_work(site: Site) -> None:
    """Each host runs some of the jobs, under its own name."""
    world = site.world
    ids = world.enqueue(32, seconds=0.3)
    world.until(lambda: world.finished(ids), "the jobs have succeeded")
    counts = Counter(job["result"]["host"] for job in world.jobs(ids))
    assert set(counts) == {"b", "c"}
    assert min(counts.values()) >= 8
    assert Counter(job["worker_id"] for job in world.jobs(ids)) == counts


def test_an_artifact_made_on_one_host_is_displayed_on_another(site: Site) -> None:
    """The dashboard of A returns the file that a worker on B stored."""
    world = site.world
    ids = world.enqueue(1, executor_id="b", file=True)
    world.until(lambda: world.finished(ids), "the job has succeeded")
    [artifact] = world.owner.execute("select id from public.artifacts where job_id = %s", ids).fetchall()
    response = site.get(f"/api/artifacts/{artifact['id']}/content")
    if response.is_redirect:
        response = site.get_url(response.headers["location"])
    assert (response.status_code, response.text) == (200, "b")
    assert site.get(f"/dashboard/jobs/{ids[0]}").text.count("host.txt")


def test_a_host_that_dies_loses_no_job(site: Site) -> None:
    """The jobs of a host that was killed while disconnected run on the other one, and the host works again."""
    world = site.world
    ids = world.enqueue(8, seconds=2)
    world.until(lambda: world.running_on(world.b) > 0, "jobs run on B")
    lost = world.running_on(world.b)
    world.b.die()
    world.until(lambda: world.finished(ids), "the jobs have succeeded")
    jobs = world.jobs(ids)
    assert {job["result"]["host"] for job in jobs if job["attempts"] > 1} == {"c"}
    assert sum(job["attempts"] - 1 for job in jobs) == lost
    world.b.boot()
    world.start_worker(world.b)
    again = world.enqueue(1, executor_id="b")
    world.until(lambda: world.finished(again), "a job has succeeded on B")


def test_a_partition_of_two_leases_loses_no_job(site: Site) -> None:
    """A disconnected host loses its leases to the other one, and each job succeeds once."""
    world = site.world
    ids = world.enqueue(12, seconds=3)
    world.until(lambda: world.running_on(world.b) > 0, "jobs run on B")
    world.b.cut()
    cut_at = time.monotonic()
    world.until(lambda: world.finished(ids), "the jobs have succeeded on C")
    world.until(lambda: time.monotonic() - cut_at > 2 * LEASE_SECONDS, "two leases have passed")
    before = world.jobs(ids)
    world.b.connect()
    again = world.enqueue(1, executor_id="b")
    world.until(lambda: world.finished(again), "B works again")
    lost = [job for job in before if job["attempts"] > 1]
    assert lost
    assert {job["result"]["host"] for job in lost} == {"c"}
    assert world.jobs(ids) == before


def test_without_a_worker_for_three_minutes_someone_is_notified(site: Site) -> None:
    """The dashboard delivers an alert when a job has been due for three minutes and no worker is alive."""
    world = site.world
    for host in (world.b, world.c):
        host.die()
    with world.a.entered(), psycopg.connect(world.environment["COGO_DATABASE_URL"]) as owner:
        ignore_the_servers_uptime(owner, "raise_stranded_alerts(double precision)")
    world.owner.execute("update public.workers set last_heartbeat_at = last_heartbeat_at - interval '3 minutes'")
    [job_id] = world.enqueue(1)
    world.owner.execute(
        "update public.jobs set created_at = created_at - interval '3 minutes',"
        " next_run_at = next_run_at - interval '3 minutes' where id = %s",
        [job_id],
    )
    message = world.until(
        lambda: next((request.json for request in site.alerts.accepted if b"jobs_stranded" in request.body), None),
        "an alert is delivered",
    )
    assert "No worker is alive" in str(message)
