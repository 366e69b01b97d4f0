"""Many deaths and returns of a host."""

import pytest

from cogo_dagster_tests.hosts.conftest import Site

pytestmark = [
    pytest.mark.linux("the hosts are Linux namespaces"),
    pytest.mark.root("only root creates network namespaces"),
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
]

CYCLES = 10


def test_ten_deaths_of_a_host_lose_no_job(site: Site) -> None:
    """In each cycle a host is killed while disconnected, and returns: all jobs succeed, and both hosts work."""
    world = site.world
    ids = world.enqueue(20, seconds=1)
    for cycle in range(CYCLES):
        host = (world.b, world.c)[cycle % 2]
        ids += world.enqueue(12, seconds=1)
        world.until(lambda host=host: world.running_on(host), f"jobs run on {host.name}")  # type: ignore[misc]
        host.die()
        host.boot()
        world.start_worker(host)
    world.until(lambda: world.finished(ids), "the jobs have succeeded", 200)
    jobs = world.jobs(ids)
    assert {job["result"]["host"] for job in jobs} == {"b", "c"}
    assert any(job["attempts"] > 1 for job in jobs)
