"""Unreadable values in any column do not break pages, lists or metrics."""

import re

import httpx
import pytest

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.poisons import ESC, poison
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import Major
from cogo_dagster_tests.web.conftest import ADMIN, Serve, Site
from cogo_dagster_tests.web.population import Population

PLAIN = (
    *("/metrics", "/readyz", "/healthz", "/dashboard/local", "/dashboard/dlq"),
    *(
        "/api/alerts/targets",
        "/api/metrics/queue",
        "/api/metrics/queue/reasons",
        "/api/metrics/jobs/counts",
        "/api/metrics/jobs/history",
    ),
    *("/api/metrics/gate/summary", "/api/metrics/quality/gate/recent?limit=100", "/api/dlq/incidents?limit=200"),
)
LISTS = {
    "/api/jobs?limit=200": "jobs",
    "/api/dlq?limit=200&open_only=false": "dead_letters",
    "/api/workers?limit=200": "workers",
    "/api/artifacts?limit=200": "artifacts",
    "/api/alerts?limit=200": "alerts",
    "/api/operations?limit=200": "operations",
}
PAGES = ("/dashboard/jobs", "/dashboard/workers", "/dashboard/alerts", "/dashboard/log")


@pytest.fixture(params=[15, 18])
def major(request: pytest.FixtureRequest) -> Major:
    """Return the PostgreSQL version: 17 and later compute with infinite times, 15 and 16 raise."""
    version: Major = request.param
    return version


@pytest.mark.timeout(300)
def test_every_page_list_and_metric_responds(serve: Serve, populated: Population, owner: Owner, major: Major) -> None:
    """All pages of all lists, and each job, return 200; of the second version, each job with an infinite value."""
    assert poison(owner) > 600
    infinite = "select id::text from public.jobs job where to_jsonb(job)::text ~* %s"
    differing = {job_id for (job_id,) in owner.execute(infinite, ('"-?infinity"',)).fetchall()}
    assert len(differing) > 50
    with serve(keep_seconds=60) as site:  # most pages show the same numbers
        wrong = [
            f"{path}: {answer.status_code} {_message(answer)}"
            for path, answer in _answers(site, None if major == 15 else differing)
            if answer.status_code != 200
        ]
    assert not wrong, f"{len(wrong)} responses, such as\n" + "\n".join(wrong)[:6_000]


def _answers(site: Site, chosen: set[str] | None) -> list[tuple[str, httpx.Response]]:
    answers = [(path, _get(site, path)) for path in PLAIN]
    for path, name in LISTS.items():
        answers += _pages_of_list(site, path)
        documents = [answer.json() for at, answer in answers if at.startswith(path) and answer.status_code == 200]
        if name == "jobs":
            ids = [job["id"] for document in documents for job in document["jobs"] if "-7000-8000-" not in job["id"]]
            assert len(ids) > 150
            chosen_ids = ids if chosen is None else [job_id for job_id in ids if job_id in chosen]
            paths = (f"/{kind}/jobs/{job_id}" for job_id in chosen_ids for kind in ("api", "dashboard"))
            answers += [(one, _get(site, one)) for one in paths]
    for path in PAGES:
        answers += _pages(site, path)
    return answers


def _pages_of_list(site: Site, path: str) -> list[tuple[str, httpx.Response]]:
    answers, at = [], path
    while at:
        answer = _get(site, at)
        answers.append((at, answer))
        following = answer.json()["next"] if answer.status_code == 200 else None
        at = f"{path}&before={following}" if following else ""
    return answers


def _pages(site: Site, path: str) -> list[tuple[str, httpx.Response]]:
    answers, at = [], path
    while at:
        answer = _get(site, at)
        answers.append((at, answer))
        following = re.search(r'href="([^"]*)" rel="next"', answer.text)
        at = f"{path}{following[1].replace('&amp;', '&')}" if following else ""
    return answers


def _get(site: Site, path: str) -> httpx.Response:
    answer = site.client.get(path, headers=ADMIN)
    assert ESC not in answer.text, path
    assert "<script>alert" not in answer.text or "html" not in answer.headers["content-type"], path
    assert len(answer.content) < 40_000_000, path
    return answer


def _message(answer: httpx.Response) -> str:
    return answer.text.partition('id="message">')[2].partition("</p>")[0] or answer.text[:200]


def test_a_large_payload_is_truncated_on_the_page(site: Site, owner: Owner) -> None:
    """The page shows 64 kB of a payload and a result of 900 kB and links to the whole; the list contains neither."""
    job = add(site.queue, payload={"url": "https://example.com/"})
    owner.execute(
        "update public.jobs set payload = jsonb_build_object('long', repeat('p', 900000)),"
        " result = jsonb_build_object('long', repeat('r', 900000))"
    )
    page = _get(site, f"/dashboard/jobs/{job}")
    assert page.status_code == 200
    assert 2 * 64_000 < len(page.content) < 2 * 64_000 + 50_000
    for document, char in (("payload", "p"), ("result", "r")):
        assert f'href="/api/jobs/{job}/{document}"' in page.text
        whole = _get(site, f"/api/jobs/{job}/{document}")
        assert whole.json() == {"long": char * 900_000}
        assert whole.headers["content-disposition"] == f'attachment; filename="{document}-{job}.json"'
    assert len(_get(site, "/api/jobs").content) < 5_000


def test_a_small_payload_is_shown_completely(site: Site) -> None:
    """The page shows the payload without a download link."""
    job = add(site.queue, payload={"url": "https://example.com/", "note": "short"})
    page = _get(site, f"/dashboard/jobs/{job}")
    assert "short" in page.text
    assert "characters" not in page.text
