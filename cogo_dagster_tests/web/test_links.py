"""Every number that is a link, on every page, leads to a list with as many rows."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from cogo_dagster.web.app import access_rules
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import add, running_job, settle
from cogo_dagster_tests.web.conftest import Site
from cogo_dagster_tests.web.population import GONE, HTTP, Population, failing
from cogo_dagster_tests.web.test_numbers import busy_site

__all__ = ["busy_site"]

PAGES: Final = {
    "/dashboard/local": ("",),
    "/dashboard/jobs": ("", "?q=status:failed"),
    "/dashboard/jobs/{job_id}": ("{dead}", "{done}"),
    "/dashboard/actions": ("",),
    "/dashboard/actions/{part}": ("{action}",),
    "/dashboard/dlq": ("", "?fingerprint={cause}"),
    "/dashboard/workers": ("", "?alive=true", "?name=loser"),
    "/dashboard/gate": ("", "?type=all"),
    "/dashboard/gate/{gate_run_id}": ("{gate_run}",),
    "/dashboard/weeks": ("",),
    "/dashboard/history": ("?range=24h", "?range=7d", "?range=30d"),
    "/dashboard/alerts": ("",),
    "/dashboard/log": ("",),
}
"""The addresses to visit of each page."""

FORMS: Final = {"/dashboard/jobs/new", "/dashboard/jobs/suggest", "/dashboard/pause", "/dashboard/alerts/silence"}
OTHERS: Final = {"/dashboard/login", "/dashboard/live"}

_ROW: Final = 'class="row job'
_NUMBER: Final = re.compile(r"([\d\u2009]+)\+?(?: (?:lease|job|alert|test)s?)?")
_UUID: Final = re.compile(r"/dashboard/jobs/[0-9a-f-]{36}")


class Links(HTMLParser):
    """Collects the links whose text, or whose emphasised part, is a number.

    Attributes:
        found: Address and number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int]] = []
        self._href: str | None = None
        self._texts: list[str] = []
        self._bold: list[str] = []
        self._in_bold = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a link, or its emphasised part."""
        if tag == "a":
            self._href, self._texts, self._bold = dict(attrs).get("href"), [], []
        self._in_bold = tag == "b" or (self._in_bold and tag != "small")

    def handle_data(self, data: str) -> None:
        """Add text."""
        self._texts.append(data)
        if self._in_bold:
            self._bold.append(data)

    def handle_endtag(self, tag: str) -> None:
        """End a link."""
        if tag == "b":
            self._in_bold = False
        if tag != "a" or not self._href:
            return
        for texts in (self._bold, self._texts):
            match = _NUMBER.fullmatch("".join(texts).strip())
            if match and not _UUID.fullmatch(self._href):
                self.found.append((self._href, int(match[1].replace("\u2009", ""))))
                break
        self._href = None


@pytest.fixture
def full_site(populated: Population, busy_site: Site, owner: Owner, age: Age, tmp_path: Path) -> Site:
    """Let the busy queue have a past, two lost leases of one worker, failed gate runs, and alerts that fire."""
    queue = busy_site.queue
    job = running_job(queue, priority=0)
    owner.execute(
        "insert into public.job_attempts (job_id, attempt, lease_token, outcome, worker_id, claimed_at, finished_at)"
        " select %s, n, gen_random_uuid(), 'lost', 'loser', now(), now() - n * interval '1 hour'"
        " from generate_series(1, 3) n",
        [job.id],
    )
    settle(queue, job)
    cancelled = add(queue)
    queue.cancel(cancelled)
    age(running_job(queue, priority=0), 3_600)
    failing(queue, GONE, priority=0)
    failing(queue, HTTP, priority=0)
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuite name="shop" tests="3" failures="2"><testcase classname="cart" name="adds"/>'
        '<testcase classname="cart" name="pays"><failure/></testcase>'
        '<testcase classname="cart" name="ships"><failure/></testcase></testsuite>'
    )
    run = {"type": "gate", "status": "fail", "branch": "main", "commit_sha": "c0ffee" * 6}
    busy_site.application.gates.record_reports(run, {"junit": report})
    busy_site.application.alerts.evaluate()
    return busy_site


def test_every_number_leads_to_the_rows_that_it_counts(full_site: Site, populated: Population, owner: Owner) -> None:
    """On every page of the dashboard; a new page needs an entry above."""
    known = {path for path in _pages(full_site) if path not in FORMS | OTHERS}
    assert known == set(PAGES)
    names = {name: str(getattr(populated, name)) for name in ("dead", "done", "action", "cause")}
    names["gate_run"] = str(owner.execute("select id from public.gate_runs").fetchall()[0][0])
    counted: dict[str, int] = {}
    wrong = []
    for path, addresses in PAGES.items():
        for end in addresses:
            page = path.split("{")[0] + end.format(**names)
            for href, number in _numbers(_read(full_site, page)):
                target = urljoin(page, href)
                if urlsplit(target).netloc:
                    continue
                if target not in counted:
                    counted[target] = _rows(full_site, target)
                if counted[target] != number:
                    wrong.append(f"{page}: {number} leads to {counted[target]} rows at {target}")
    assert not wrong, "\n".join(wrong)
    kinds = (
        "alerts",
        "#losses",
        "dlq?fingerprint",
        "lost:1d",
        "alive=true",
        "finished:",
        "is:lease-expired",
        "family:",
    )
    for part in kinds:
        assert any(part in _plain(target) and rows for target, rows in counted.items()), part


def test_20000_jobs_are_paginated(site: Site, owner: Owner) -> None:
    """With 20,000 jobs, the list, a search and the overview show pages of fifty."""
    owner.execute(
        """insert into public.jobs (id, type, status, attempts, finished_at, error)
           select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n), 12, '0') || '70008000'
                   || lpad(to_hex(n), 12, '0'))::uuid, 'browser',
                  case when n % 100 = 0 then 'failed' else 'succeeded' end, 1, now() - n * interval '8 s',
                  case when n % 100 = 0 then '{"class": "dns", "message": "no"}'::jsonb end
           from generate_series(1, 20000) n"""
    )
    owner.execute("analyze public.jobs")
    newest, older = islice(_pages_of(site, "/dashboard/jobs"), 2)
    assert [text.count(_ROW) for text in (newest, older)] == [50, 50]
    assert re.search(r'succeeded\s*</span><b class="count"[^>]*>\s*(20|19\.8)k', newest)
    failed = _pages_of(site, "/dashboard/jobs?q=status:failed+error:dns")
    assert [text.count(_ROW) for text in failed] == [50] * 4
    assert re.search(r"Succeeded</span><b>10.[67]\d\d</b>", _read(site, "/dashboard/local"))


def _pages(site: Site) -> set[str]:
    routes = [route.split() for route, _ in access_rules(site.app)]
    return {path for method, path in routes if method == "GET" and path.startswith("/dashboard/")}


def _numbers(text: str) -> list[tuple[str, int]]:
    links = Links()
    links.feed(text)
    return links.found


def _plain(target: str) -> str:
    return target.replace("%3A", ":").replace("%22", '"').replace(':"', ":")


def _read(site: Site, address: str) -> str:
    answer = site.client.get(address, headers={"cookie": f"cogo_session={_cookie(site)}"})
    assert answer.status_code == 200, address
    return answer.text


_COOKIES: Final[dict[httpx.Client, str]] = {}


def _cookie(site: Site) -> str:
    return _COOKIES.get(site.client) or _COOKIES.setdefault(site.client, site.cookie())


def _rows(site: Site, address: str) -> int:
    """Return the number of rows of a list, over all its pages."""
    page, _, part = address.partition("#")
    pages = _pages_of(site, page)
    text = next(pages)
    if part == "losses":
        return text[text.index('id="losses"') :].partition("</section>")[0].count("<tr><td>")
    if page.startswith("/dashboard/alerts"):
        return text.partition("<h2>Resolved and announced</h2>")[0].count('class="row alert"')
    if page.startswith("/dashboard/workers"):
        return text.count('class="meterline"')
    if page.startswith("/dashboard/gate"):
        return text.partition('id="tests"')[2].partition("</section>")[0].count("<li>")
    if page == "/dashboard/dlq":
        return sum(number for href, number in _numbers(text) if "fingerprint=" in href)
    return sum(one.count(_ROW) for one in (text, *pages))


def _pages_of(site: Site, page: str) -> Iterator[str]:
    """Yield all pages of a list."""
    while True:
        text = _read(site, page)
        yield text
        following = re.search(r'href="([^"]+)" rel="next">(?:Older|Search older)', text)
        if following is None:
            return
        page = urljoin(page, following[1].replace("&amp;", "&"))
