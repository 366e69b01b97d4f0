"""Reads of the API: pages with cursors, jobs with details, content of artifacts, metrics for Prometheus."""

import re
from uuid import UUID, uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, take
from cogo_dagster_tests.web.conftest import ADMIN, Site
from cogo_dagster_tests.web.population import HTTP, PIXEL, Population, failing


def all_pages(site: Site, path: str, name: str, **parameters: Json) -> list[Json]:
    """Return the rows of all pages."""
    rows: list[Json] = []
    before: str | None = ""
    while before is not None:
        page = site.get(path, **parameters, **({"before": before} if before else {}))
        assert len(page[name]) <= parameters["limit"]
        rows += page[name]
        before = page["next"]
    return rows


def test_the_cursor_of_jobs_visits_every_job_once(site: Site) -> None:
    """Pages of two jobs, newest first, up to the page without a next one."""
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
def test_filters_find_the_matching_jobs(site: Site, populated: Population, filters: Json, found: set[str]) -> None:
    """Each filter, alone or combined, finds exactly the matching jobs."""
    ours = {str(getattr(populated, name)): name for name in ("done", "dead", "running", "waiting", "queued")}
    rows = all_pages(site, "/api/jobs", "jobs", limit=200, since_seconds=600, **filters)
    assert {ours[row["id"]] for row in rows if row["id"] in ours} == found


def test_jobs_are_found_by_the_device_that_claimed_them(site: Site, queue: Queue) -> None:
    """The filter `device` matches the host name of the worker that claimed a job."""
    worker = a_worker("w")
    register(queue, worker)
    other, mine = add(queue, type="figma"), add(queue)
    take(queue, worker=worker)
    rows = site.get("/api/jobs", device="box")["jobs"]
    assert [row["id"] for row in rows] == [str(mine)]
    assert str(other) not in str(rows)


def test_a_search_stops_after_10000_jobs(site: Site, owner: Owner) -> None:
    """After 11,000 other jobs, the first page is empty, reports how far it searched, and its cursor finds the job."""
    rare = add(site.queue, "figma")
    owner.execute(
        "insert into public.jobs (id, type, status, attempts, finished_at)"
        " select ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'browser', 'succeeded', 1, now()"
        " from generate_series(1, 11000) n"
    )
    first = site.get("/api/jobs", type="figma", limit=50)
    assert (first["jobs"], first["looked_until"] is not None) == ([], True)
    second = site.get("/api/jobs", type="figma", limit=50, before=first["next"])
    assert [row["id"] for row in second["jobs"]] == [str(rare)]
    assert (second["next"], second["looked_until"]) == (None, None)


def test_a_job_has_the_reason_for_its_state(site: Site, populated: Population) -> None:
    """A queued job that is not due has its payload, the reason why it waits, and no attempts."""
    job = site.get(f"/api/jobs/{populated.waiting}")
    assert re.fullmatch(r"first attempt is due in \d min", job["why"])
    assert job["payload"] == {"url": "https://later.example.com/"}
    assert job["attempt_list"] == []


def test_a_job_has_its_attempts_and_artifacts(site: Site, populated: Population) -> None:
    """A dead-lettered job has its attempt with the error; a succeeded one has its artifacts, without storage keys."""
    dead = site.get(f"/api/jobs/{populated.dead}/attempts")
    assert [(one["number"], one["outcome"], one["error"]["class"]) for one in dead] == [(1, "failed", "timeout")]
    done = site.get(f"/api/jobs/{populated.done}")
    assert {file["name"] for file in done["artifacts"]} == {"data.json", "page.html", "screenshot.png", "trace.zip"}
    assert not any("storage_key" in file for file in done["artifacts"])


def test_an_unknown_job_is_not_found(site: Site) -> None:
    """An unknown id returns 404 with a message."""
    answer = site.read(f"/api/jobs/{uuid4()}")
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("It may have been purged; check the ID.")


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("screenshot.png", "image/png", "inline"),
        ("data.json", "application/json", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        ("trace.zip", "application/octet-stream", "attachment"),
    ],
)
def test_only_content_that_cannot_run_scripts_is_shown_inline(
    site: Site, populated: Population, name: str, kind: str, disposition: str
) -> None:
    """HTML is sent as an attachment; all content is sandboxed and has `nosniff`."""
    [file] = [one for one in site.get(f"/api/jobs/{populated.done}")["artifacts"] if one["name"] == name]
    answer = site.read(file["content_url"])
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"].startswith(f'{disposition}; filename="{name}"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert len(answer.content) == file["size_bytes"]
    if name == "screenshot.png":
        assert answer.content == PIXEL


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=1-3", 206, slice(1, 4)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-4", 206, slice(-4, None)),
        ("bytes=0-9999999999999999999", 206, slice(0, None)),
        ("bytes=-9999999999999999999", 206, slice(0, None)),
        ("bytes=9999999999999999999-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
        ("bytes=3-1", 200, slice(0, None)),
        ("bytes=0-1,3-4", 200, slice(0, None)),
        ("bytes=0-99999999999999999999999", 200, slice(0, None)),
        ("items=0-1", 200, slice(0, None)),
        ("bytes=", 200, slice(0, None)),
    ],
)
def test_a_part_of_a_file_is_read(read_only: tuple[Site, Population], header: str, status: int, part: slice) -> None:
    """A download can be resumed; a part outside the file is 416, and a Range that is not one part is ignored."""
    site, populated = read_only
    [file] = [one for one in site.get(f"/api/jobs/{populated.done}")["artifacts"] if one["name"] == "page.html"]
    whole = site.read(file["content_url"])
    assert whole.headers["accept-ranges"] == "bytes"
    answer = site.client.get(file["content_url"], headers={**ADMIN, "range": header})
    assert (answer.status_code, answer.content) == (status, whole.content[part])
    size = len(whole.content)
    start, end, _ = part.indices(size)
    found = {206: f"bytes {start}-{end - 1}/{size}", 416: f"bytes */{size}"}
    assert answer.headers.get("content-range") == found.get(status)
    conditional = site.client.get(file["content_url"], headers={**ADMIN, "range": header, "if-range": '"1"'})
    assert (conditional.status_code, conditional.content) == (200, whole.content)


def test_an_object_missing_in_the_store_is_a_502(site: Site, populated: Population) -> None:
    """The response is 502 with a message."""
    [file] = site.get("/api/artifacts", job_id=str(populated.done), limit=1)["artifacts"]
    [row] = site.queue.get_artifacts([UUID(file["id"])])
    site.application.store.delete(row.document["storage_key"])
    answer = site.read(file["content_url"])
    assert answer.status_code == 502
    assert "cannot be read" in answer.json()["error"]


def test_the_cursor_of_artifacts_visits_every_artifact_once(site: Site, populated: Population) -> None:
    """Four artifacts with the same creation time, in pages of one."""
    rows = all_pages(site, "/api/artifacts", "artifacts", limit=1, job_id=str(populated.done))
    assert len({row["id"] for row in rows}) == len(rows) == 4


def test_the_cursor_of_the_dlq_visits_every_job_once(site: Site, populated: Population) -> None:
    """Five dead-lettered jobs of three causes; errors with different HTTP statuses are different causes."""
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


def test_the_cursor_of_workers_visits_every_start_once(site: Site, queue: Queue) -> None:
    """Three workers, newest first, in pages of one."""
    workers = [a_worker(f"w{number}") for number in range(3)]
    for worker in workers:
        register(queue, worker)
    rows = all_pages(site, "/api/workers", "workers", limit=1)
    assert [row["instance_id"] for row in rows] == [str(worker.instance_id) for worker in workers[::-1]]
    assert rows[0]["alive"] is True


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMl0", "eyJhIjoxfQ"])
def test_an_invalid_cursor_is_rejected(site: Site, cursor: str) -> None:
    """An invalid cursor returns 404 with a message."""
    for path in ("/api/dlq", "/api/artifacts", "/api/workers", "/api/operations"):
        answer = site.read(path, before=cursor)
        assert answer.status_code == 404
        assert "Pass `next`" in answer.json()["error"]


def test_prometheus_metrics_have_no_job_ids(site: Site, populated: Population) -> None:
    """Gauges, counters and a histogram with cumulative buckets, without ids."""
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


def test_metrics_are_available_as_openmetrics(site: Site) -> None:
    """With the Accept header of OpenMetrics, the response has its content type and end marker."""
    wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = site.client.get("/metrics", headers=ADMIN | wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_history_has_every_hour_and_counts_finished_jobs(site: Site, populated: Population) -> None:
    """24 hours without gaps, whose sums equal those of the families."""
    history = site.get("/api/metrics/jobs/history")
    assert len(history["hours"]) == 24
    ended = sum(hour["succeeded"] + hour["failed"] for hour in history["hours"])
    assert ended == sum(family["succeeded"] + family["failed"] for family in history["families"]) > 400
    assert history["errors"][0]["error_class"] == "http_status"
    assert 0 < history["run_seconds"]["p50"] <= history["run_seconds"]["p95"]


def test_counts_are_exact_up_to_ten_thousand(site: Site, owner: Owner) -> None:
    """Above 10,000, a count is the planner's estimate and marked as inexact."""
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


def test_healthz_and_readyz_respond(site: Site) -> None:
    """/healthz reports the process, /readyz the release of the database."""
    assert site.get("/healthz") == {"status": "ok"}
    assert site.get("/readyz")["release"] >= 3
