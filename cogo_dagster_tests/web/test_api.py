"""The API's reads: pages with cursors, whole jobs, bytes on click, numbers for Prometheus."""

import re
from uuid import UUID, uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, take
from cogo_dagster_tests.web.conftest import ADMIN, Site
from cogo_dagster_tests.web.scene import HTTP, PIXEL, Scene, failing


def all_pages(site: Site, path: str, name: str, **parameters: Json) -> list[Json]:
    """Follow the cursor to the end."""
    rows: list[Json] = []
    before: str | None = ""
    while before is not None:
        page = site.get(path, **parameters, **({"before": before} if before else {}))
        assert len(page[name]) <= parameters["limit"]
        rows += page[name]
        before = page["next"]
    return rows


def test_the_cursor_of_jobs_leads_past_every_job_once(site: Site) -> None:
    """Pages of two, newest first, until there is no next one."""
    ids = [str(add(site.queue)) for _ in range(5)]
    assert [row["id"] for row in all_pages(site, "/api/jobs", "jobs", limit=2)] == ids[::-1]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"status": "queued"}, {"waiting", "queued"}),
        ({"status": ["queued", "running"]}, {"waiting", "queued", "running"}),
        ({"status": "running"}, {"running"}),
        ({"status": "failed", "error": "timeout"}, {"dead"}),
        ({"error": "timeout", "type": "browser"}, {"dead"}),
        ({"type": "figma", "status": "queued"}, {"queued"}),
        ({"executor": "mac-1"}, {"queued"}),
        ({"q": "SHOP.example.com"}, {"dead"}),
        ({"q": "figma:abc"}, {"queued"}),
        ({"error": "no_such_class"}, set()),
    ],
)
def test_jobs_are_found_by_what_is_asked(site: Site, scene: Scene, filters: Json, found: set[str]) -> None:
    """Each filter, alone and with another, finds the jobs it says and no other of the scene."""
    ours = {str(getattr(scene, name)): name for name in ("done", "dead", "running", "waiting", "queued")}
    rows = all_pages(site, "/api/jobs", "jobs", limit=200, since_seconds=600, **filters)
    assert {ours[row["id"]] for row in rows if row["id"] in ours} == found


def test_jobs_are_found_by_the_device_that_claimed_them(site: Site, queue: Queue) -> None:
    """The worker's host names its jobs."""
    worker = a_worker("w")
    register(queue, worker)
    other, mine = add(queue, type="figma"), add(queue)
    take(queue, worker=worker)
    rows = site.get("/api/jobs", device="box")["jobs"]
    assert [row["id"] for row in rows] == [str(mine)]
    assert str(other) not in str(rows)


def test_a_rare_filter_looks_at_so_many_jobs_and_says_how_far_it_came(site: Site, owner: Owner) -> None:
    """21,000 jobs of others: the first page is empty but has a cursor, which leads to the one."""
    rare = add(site.queue, "figma")
    owner.execute(
        "insert into public.jobs (id, type, status, attempts, finished_at)"
        " select ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'browser', 'succeeded', 1, now()"
        " from generate_series(1, 21000) n"
    )
    first = site.get("/api/jobs", type="figma", limit=50)
    assert (first["jobs"], first["looked_until"] is not None) == ([], True)
    second = site.get("/api/jobs", type="figma", limit=50, before=first["next"])
    assert [row["id"] for row in second["jobs"]] == [str(rare)]
    assert (second["next"], second["looked_until"]) == (None, None)


def test_a_whole_job_says_why_it_is_where_it_is(site: Site, scene: Scene) -> None:
    """A job that waits, with its payload, and no attempt yet."""
    job = site.get(f"/api/jobs/{scene.waiting}")
    assert re.fullmatch(r"waits \d min for its time", job["why"])
    assert job["payload"] == {"url": "https://later.example.com/"}
    assert job["attempt_list"] == []


def test_a_whole_job_has_its_attempts_and_files(site: Site, scene: Scene) -> None:
    """The attempt that failed for good, and the files that a success left."""
    dead = site.get(f"/api/jobs/{scene.dead}/attempts")
    assert [(one["number"], one["outcome"], one["error"]["class"]) for one in dead] == [(1, "failed", "timeout")]
    done = site.get(f"/api/jobs/{scene.done}")
    assert {file["name"] for file in done["artifacts"]} == {"data.json", "page.html", "screenshot.png", "trace.zip"}
    assert not any("storage_key" in file for file in done["artifacts"])


def test_an_unknown_job_is_not_found(site: Site) -> None:
    """404 and one sentence."""
    answer = site.read(f"/api/jobs/{uuid4()}")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("There is no job ")


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("screenshot.png", "image/png", "inline"),
        ("data.json", "application/json", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        ("trace.zip", "application/octet-stream", "attachment"),
    ],
)
def test_bytes_are_shown_only_where_nothing_in_them_can_run(
    site: Site, scene: Scene, name: str, kind: str, disposition: str
) -> None:
    """A stranger's HTML is saved, never opened here; all of it is sandboxed and taken as what it says."""
    [file] = [one for one in site.get(f"/api/jobs/{scene.done}")["artifacts"] if one["name"] == name]
    answer = site.read(file["content_url"])
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"].startswith(f'{disposition}; filename="{name}"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert len(answer.content) == file["size_bytes"]
    if name == "screenshot.png":
        assert answer.content == PIXEL


def test_a_file_that_is_gone_from_the_store_is_a_sentence(site: Site, scene: Scene) -> None:
    """502 and no traceback."""
    [file] = site.get("/api/artifacts", job_id=str(scene.done), limit=1)["artifacts"]
    [row] = site.queue.get_artifacts([UUID(file["id"])])
    site.application.store.delete(row.document["storage_key"])
    answer = site.read(file["content_url"])
    assert answer.status_code == 502
    assert "cannot be read" in answer.json()["error"]


def test_the_cursor_of_artifacts_leads_past_every_file_once(site: Site, scene: Scene) -> None:
    """Four files that were made in one statement, one at a time."""
    rows = all_pages(site, "/api/artifacts", "artifacts", limit=1, job_id=str(scene.done))
    assert len({row["id"] for row in rows}) == len(rows) == 4


def test_the_cursor_of_dead_letters_leads_past_every_letter_once(site: Site, scene: Scene) -> None:
    """Five letters of three causes: two hosts that answer with other statuses are apart."""
    rows = all_pages(site, "/api/dlq", "dead_letters", limit=2)
    assert len({row["job_id"] for row in rows}) == len(rows) == 5
    causes = site.get("/api/dlq/incidents")["incidents"]
    assert [(cause["class"], cause["count"]) for cause in causes] == [
        ("http_status", 3),
        ("http_status", 1),
        ("timeout", 1),
    ]
    one_cause = all_pages(site, "/api/dlq", "dead_letters", limit=3, fingerprint=causes[0]["fingerprint"])
    assert len(one_cause) == 3


def test_the_cursor_of_workers_leads_past_every_start_once(site: Site, queue: Queue) -> None:
    """Three starts, newest first."""
    workers = [a_worker(f"w{number}") for number in range(3)]
    for worker in workers:
        register(queue, worker)
    rows = all_pages(site, "/api/workers", "workers", limit=1)
    assert [row["instance_id"] for row in rows] == [str(worker.instance_id) for worker in workers[::-1]]
    assert rows[0]["alive"] is True


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMl0", "eyJhIjoxfQ"])
def test_a_cursor_of_somebody_elses_is_refused(site: Site, cursor: str) -> None:
    """404 and what to do."""
    for path in ("/api/dlq", "/api/artifacts", "/api/workers", "/api/operations"):
        answer = site.read(path, before=cursor)
        assert answer.status_code == 404
        assert "take `next`" in answer.json()["error"]


def test_prometheus_reads_the_queue_and_no_id(site: Site, scene: Scene) -> None:
    """Gauges, counters and a histogram with cumulative buckets; no job's id anywhere."""
    text = site.read("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {name: family.samples[0].value for name, family in families.items() if len(family.samples) == 1}
    numbers = site.get("/api/metrics/queue")
    assert values["cogo_queue_ready_jobs"] == numbers["ready"] == 1
    assert values["cogo_dlq_open"] == numbers["dlq_open"] == 5
    assert values["cogo_browser_slots"] == 4
    assert values["cogo_lease_losses"] == 1
    by_outcome = {s.labels["outcome"]: s.value for s in families["cogo_attempts"].samples if s.name.endswith("_total")}
    assert (by_outcome["succeeded"], by_outcome["failed"]) == (600, 17)
    buckets = [s for s in families["cogo_job_run_seconds"].samples if s.name.endswith("_bucket")]
    assert [(s.labels["le"], s.value) for s in buckets] == [("0.1", 10), ("1.0", 510), ("10.0", 590), ("+Inf", 593)]
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)


def test_prometheus_may_ask_for_openmetrics(site: Site) -> None:
    """The newer text format ends in a mark of its own."""
    wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = site.client.get("/metrics", headers=ADMIN | wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_history_has_every_hour_and_counts_what_ended(site: Site, scene: Scene) -> None:
    """24 hours without gaps, and as many failures as the strip says or fewer by those before the first full hour."""
    history = site.get("/api/metrics/jobs/history")
    assert len(history["hours"]) == 24
    ended = sum(hour["succeeded"] + hour["failed"] for hour in history["hours"])
    assert ended == sum(family["succeeded"] + family["failed"] for family in history["families"]) > 400
    assert history["errors"][0]["error_class"] == "http_status"
    assert 0 < history["run_seconds"]["p50"] <= history["run_seconds"]["p95"]


def test_counts_are_exact_up_to_ten_thousand(site: Site, owner: Owner) -> None:
    """Beyond it, the planner's estimate, marked as one."""
    owner.execute(
        "insert into public.jobs (type, status, attempts, finished_at)"
        " select 'browser', 'succeeded', 1, now() from generate_series(1, 12000); "
    )
    failing(site.queue, HTTP)
    running_job(site.queue)
    owner.execute("analyze public.jobs")
    counts = site.get("/api/metrics/jobs/counts")
    assert counts["failed"] == counts["running"] == {"count": 1, "exact": True}
    assert counts["succeeded"]["exact"] is False
    assert 11_000 < counts["succeeded"]["count"] < 13_000


def test_healthz_and_readyz_answer(site: Site) -> None:
    """The process, and the database's release."""
    assert site.get("/healthz") == {"status": "ok"}
    assert site.get("/readyz")["release"] >= 3
