"""A row that cannot be read harms nobody: pages, lists and scrapes answer beside every value that a column can hold."""

import re

import httpx
import pytest

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.poisons import ESC, poison
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.servers import Major
from cogo_dagster_tests.web.conftest import ADMIN, Site
from cogo_dagster_tests.web.scene import Scene

PLAIN = (
    *("/metrics", "/readyz", "/healthz", "/dashboard/local", "/dashboard/dlq/replay", "/dashboard/dlq"),
    *("/api/alerts/targets", "/api/metrics/queue", "/api/metrics/jobs/counts", "/api/metrics/jobs/history"),
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
    """Choose the version of PostgreSQL: 17 and later compute with infinite times, 15 and 16 raise."""
    version: Major = request.param
    return version


@pytest.mark.timeout(300)
def test_every_page_list_and_scrape_answers(site: Site, scene: Scene, owner: Owner) -> None:
    """With 200 and all rows, on every page of every list, and for each job."""
    assert poison(owner) > 600
    wrong = [
        f"{path}: {answer.status_code} {_sentence(answer)}"
        for path, answer in _answers(site)
        if answer.status_code != 200
    ]
    assert not wrong, f"{len(wrong)} answers, as\n" + "\n".join(wrong)[:6_000]


def _answers(site: Site) -> list[tuple[str, httpx.Response]]:
    answers = [(path, _get(site, path)) for path in PLAIN]
    for path, name in LISTS.items():
        answers += _pages_of_list(site, path)
        documents = [answer.json() for at, answer in answers if at.startswith(path) and answer.status_code == 200]
        if name == "jobs":
            ids = [job["id"] for document in documents for job in document["jobs"] if "-7000-8000-" not in job["id"]]
            assert len(ids) > 150
            paths = (f"/{kind}/jobs/{job_id}" for job_id in ids for kind in ("api", "dashboard"))
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


def _sentence(answer: httpx.Response) -> str:
    return answer.text.partition('id="sentence">')[2].partition("</p>")[0] or answer.text[:200]


def test_a_page_shows_the_beginning_of_a_large_payload_and_leads_to_all_of_it(site: Site, owner: Owner) -> None:
    """Of 900 kB the page has 64 kB, and so has its result; the files have everything, and a list nothing of it."""
    job = add(site.queue, payload={"url": "https://example.com/"})
    owner.execute(
        "update public.jobs set payload = jsonb_build_object('long', repeat('p', 900000)),"
        " result = jsonb_build_object('long', repeat('r', 900000))"
    )
    page = _get(site, f"/dashboard/jobs/{job}")
    assert page.status_code == 200
    assert 2 * 64_000 < len(page.content) < 2 * 64_000 + 50_000
    for document, letter in (("payload", "p"), ("result", "r")):
        assert f'href="/api/jobs/{job}/{document}"' in page.text
        whole = _get(site, f"/api/jobs/{job}/{document}")
        assert whole.json() == {"long": letter * 900_000}
        assert whole.headers["content-disposition"] == f'attachment; filename="{document}-{job}.json"'
    assert len(_get(site, "/api/jobs").content) < 5_000


def test_a_small_payload_is_shown_whole(site: Site) -> None:
    """Without a word about downloads."""
    job = add(site.queue, payload={"url": "https://example.com/", "note": "short"})
    page = _get(site, f"/dashboard/jobs/{job}")
    assert "short" in page.text
    assert "characters" not in page.text
