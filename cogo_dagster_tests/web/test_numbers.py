"""Each number at the top of the overview leads to exactly the rows that it counts."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from cogo_dagster.formatting.explanation import queue_line
from cogo_dagster.queue.model import Outcome
from cogo_dagster.queue.search.qualifiers import STATUSES
from cogo_dagster.queue.stats import MAX_PER_LANE, MAX_QUEUED
from cogo_dagster.web.views import reason_search, tiles
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import BROKEN, a_worker, add, register, running_job, settle, take_one
from cogo_dagster_tests.web.conftest import Serve, Site

_TILES = ("Queued", "Oldest due", "Running", "Succeeded", "Failed", "Dead-lettered", "Lease losses", "Workers")


@pytest.fixture
def busy_site(site: Site, age: Age, owner: Owner) -> Site:
    """Fill the queue with jobs of every kind; no two numbers have the same filter and count."""
    queue = site.queue
    register(queue, a_worker("alive"), concurrency=8)
    stopped = a_worker("stopped")
    register(queue, stopped)
    queue.stop_worker(stopped)
    for _ in range(2):  # created days ago, finished now
        old = running_job(queue)
        settle(queue, old)
        owner.execute("update public.jobs set created_at = created_at - interval '3 days' where id = %s", [old.id])
    aged = running_job(queue)
    settle(queue, aged)
    age(aged, 2 * 86_400)
    for _ in range(3):
        settle(queue, running_job(queue, max_attempts=1), Outcome.FAILED, error=BROKEN)
    for _ in range(2):  # one job that lost two leases
        lost = take_one(queue) if _ else running_job(queue)
        age(lost, 3_600)
        queue.recover()
    settle(queue, take_one(queue))
    other = running_job(queue)
    age(other, 3_600)
    queue.recover()
    settle(queue, take_one(queue))
    running_job(queue)
    add(queue)
    add(queue, "figma")
    add(queue, "figma", run_in_seconds=600)
    add(queue, "figma", executor_id="mac")
    add(queue, "gate")
    add(queue, "gate.slow", run_in_seconds=600)
    add(queue, "gates")
    queue.pause("type", "gate", actor="me")
    return site


@pytest.mark.parametrize("label", _TILES)
def test_a_tile_leads_to_the_rows_that_it_counts(busy_site: Site, label: str) -> None:
    """The list behind a number has as many rows as the number says."""
    numbers = busy_site.application.stats.numbers()
    tile = next(tile for tile in tiles(numbers) if tile.label == label)
    shown = numbers.ready if label == "Oldest due" else int(tile.value)
    assert shown > 0
    assert _rows(busy_site, tile.href) == shown


def test_each_tile_has_a_test(busy_site: Site) -> None:
    """A new tile needs a case above."""
    numbers = busy_site.application.stats.numbers()
    assert tuple(tile.label for tile in tiles(numbers)) == _TILES


def test_each_reason_leads_to_the_jobs_that_it_counts(busy_site: Site) -> None:
    """The search behind a reason finds its jobs only, and the reasons cover all queued jobs."""
    found = busy_site.application.stats.reasons()
    counted = {reason_search(one): one.count for one in found.reasons}
    assert len(counted) == len(found.reasons) > 5
    assert {address: _rows(busy_site, address) for address in counted} == counted
    assert found.queued == sum(counted.values()) == busy_site.get("/api/metrics/queue")["queued"]


def test_the_overview_shows_the_reasons_first(busy_site: Site) -> None:
    """Stranded jobs come first, with what a worker for them needs; without a session there are none."""
    page = busy_site.read("/dashboard/local").text
    assert "no live worker runs figma jobs" in page
    assert page.index('id="waiting"') < page.index('id="gate"')
    assert "EXECUTOR_ID=mac" in page
    assert "EXECUTOR_ID=mac" not in busy_site.client.get("/dashboard/local").text


def test_a_number_that_is_not_counted_to_its_end_has_a_plus(site: Site, owner: Owner) -> None:
    """The tile, the number of due jobs, and the reasons with their total."""
    owner.execute("insert into public.jobs (type) select 'figma' from generate_series(1, 10001)")
    page = site.read("/dashboard/local").text
    assert page.count("10\u2009000+") == 3
    assert "10\u2009001</b>" in page
    assert "10,000+ figma" in queue_line(site.application.stats.reasons().reasons[0], datetime.now(UTC))


def test_a_queued_row_has_a_short_reason(busy_site: Site) -> None:
    """A list shows why each job waits."""
    rows = busy_site.read("/dashboard/jobs", q="status:queued").text
    for reason in ("type gate is paused", "no live worker runs figma jobs, which need FIGMA_API_TOKEN", "due in"):
        assert reason in rows


def test_a_scheduled_job_does_not_raise_no_worker(site: Site, age: Age) -> None:
    """The banner needs a job that has been due for longer than Dagster needs to launch a worker."""
    add(site.queue, run_in_seconds=28_800)
    assert "No worker is alive" not in site.read("/dashboard/local").text
    due = add(site.queue)
    assert "No worker is alive" not in site.read("/dashboard/local").text
    age(due, 120)
    assert "No worker is alive" in site.read("/dashboard/local").text


def test_prometheus_has_the_reasons(busy_site: Site) -> None:
    """One series for each family and cause; jobs of several executor IDs are added up."""
    text = busy_site.read("/metrics").text
    assert 'cogo_jobs_queued_by_reason{family="figma",reason="no_executor"} 2.0' in text
    assert "cogo_jobs_stranded 3.0" in text


def test_unknown_conditions_are_rejected(site: Site) -> None:
    """The API names the conditions that exist."""
    assert site.read("/api/jobs", condition="late").status_code == 422
    assert site.get("/api/jobs", condition=["due", "unaddressed"], family=str(uuid4()))["jobs"] == []


def test_numbers_agree_after_an_action(serve: Serve) -> None:
    """Pages, API and Prometheus show an action of this server at once, also the batches that follow its response."""
    with serve(keep_seconds=600) as site:
        jobs = [add(site.queue) for _ in range(3)]

        def queued() -> set[float]:
            series = r'^cogo_jobs(?:{status="queued"}|_queued_by_reason{.*}) (\S+)'
            numbers, counts = site.get("/api/metrics/queue"), site.get("/api/metrics/jobs/counts")
            scraped = re.findall(series, site.read("/metrics").text, re.MULTILINE)
            return {*map(float, scraped), numbers["queued"], counts["queued"]["count"]}

        assert queued() == {3}
        site.post(f"/api/jobs/{jobs[0]}/cancel")
        assert queued() == {2}
        headers = {"origin": site.url, "cookie": f"cogo_session={site.cookie()}"}
        form = {"q": "status:queued", "operation": "cancel"}
        action = site.client.post("/dashboard/actions", data=form, headers=headers).headers["location"]
        site.client.post(f"{action}/run", data={}, headers=headers)
        while site.get(action.replace("/dashboard", "/api"))["more"]:
            pass
        assert queued() == {0}


def _rows(site: Site, address: str) -> int:
    answer = site.client.get(address, headers={"cookie": f"cogo_session={site.cookie()}"})
    assert answer.status_code == 200
    assert 'rel="next"' not in answer.text
    if address.startswith("/dashboard/dlq"):
        return sum(map(int, re.findall(r'class="count big" data-row[^>]*>(\d+)</a>', answer.text, re.DOTALL)))
    return len(re.findall(r'<a class="row job|<section class="card worker', answer.text))


def test_the_id_that_a_list_shows_leads_to_the_job(site: Site) -> None:
    """The search and the address accept the last digits, the search the whole ID too, and the API finds them."""
    job_id = str(add(site.queue))
    page = site.read(f"/dashboard/jobs/{job_id[-8:]}")
    assert (page.status_code, page.headers["location"]) == (303, f"/dashboard/jobs/{job_id}")
    for typed in (job_id[-8:], job_id):
        assert site.read("/dashboard/jobs", q=typed).headers["location"] == f"/dashboard/jobs/{job_id}"
    assert [job["id"] for job in site.get("/api/jobs", q=job_id[-8:])["jobs"]] == [job_id]
    assert site.read("/dashboard/jobs/ffffffff").status_code == 404


def test_each_count_of_a_status_leads_to_its_jobs(busy_site: Site) -> None:
    """The list of statuses beside the jobs."""
    counts = busy_site.application.stats.counts()
    for status in STATUSES:
        assert _rows(busy_site, f"/dashboard/jobs?q=status:{status}") == getattr(counts, status).count, status


def test_each_count_of_a_cause_leads_to_its_jobs(busy_site: Site) -> None:
    """In the dead-letter queue, and in the search that the page of a cause acts on."""
    incidents = busy_site.queue.list_incidents()
    assert incidents
    for cause in incidents:
        search = f"/dashboard/jobs?q=is:dead-lettered+cause:{cause.fingerprint}"
        assert _rows(busy_site, search) == cause.count
        rows = busy_site.read("/dashboard/dlq", fingerprint=cause.fingerprint).text
        assert rows.count('class="row job"') == cause.count


def test_each_count_of_a_preview_leads_to_its_jobs(busy_site: Site) -> None:
    """Of a bulk action: by type, error, cause, host and release."""
    form = {"q": "status:failed,queued", "operation": "cancel"}
    headers = {"origin": busy_site.url, "cookie": f"cogo_session={busy_site.cookie()}"}
    address = busy_site.client.post("/dashboard/actions", data=form, headers=headers).headers["location"]
    page = busy_site.client.get(address, headers=headers).text
    links = re.findall(r'<b class="count">(\d+)</b>\s*<a href="([^"]+)">', page)
    assert len(links) > 2
    assert {link: _rows(busy_site, link.replace("&amp;", "&")) for _, link in links} == {
        link: int(count) for count, link in links
    }


def test_the_limits_of_counts_are_those_of_the_database(owner: Owner) -> None:
    """Numbers have a plus from the number on at which the SQL functions stop counting."""
    sources: dict[str, str] = dict(owner.execute("select proname, prosrc from pg_proc").fetchall())
    assert f"limit {MAX_QUEUED})" in sources["queue_numbers"]
    assert f"count_limit, {MAX_PER_LANE}))" in sources["queue_groups"]
    assert f"count_limit, {MAX_PER_LANE}))" in sources["queue_stats"]
