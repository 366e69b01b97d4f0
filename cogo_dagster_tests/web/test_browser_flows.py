"""Bulk actions, logins and files in a real browser: one browser for tests that need few pages each."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from cogo_dagster.bootstrap import Application
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import dead_letters, look, running_job
from cogo_dagster_tests.supabase.server import StandIn
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Site, logged_in, tokens_of
from cogo_dagster_tests.web.population import HTTP, PIXEL, TIMEOUT, Population, failing, with_files
from cogo_dagster_tests.web.tab import Tab, watch
from cogo_dagster_tests.web.test_browser import log_in
from cogo_dagster_tests.web.test_over_rest import keys_only, over_rest, url

__all__ = ["keys_only", "over_rest", "url"]

YESTERDAY = """
    update public.jobs set finished_at = date_trunc('day', now() at time zone 'utc') at time zone 'utc' - interval '1 h'
    where id = any (%s)
"""


@pytest.fixture
def visitor(tab: Tab, site: Site) -> Iterator[Page]:
    """Lend a page without a session, and fail the test if it causes errors."""
    with tab.lent() as page:
        yield page
    assert tab.errors == []


def test_all_timeouts_of_yesterday_are_retried(page: Page, site: Site, owner: Owner) -> None:
    """The field completes the search; one is tried first, then the rest; the log leads to exactly these jobs."""
    old = [failing(site.queue, TIMEOUT) for _ in range(3)]
    today, other = failing(site.queue, TIMEOUT), failing(site.queue, HTTP)
    owner.execute(YESTERDAY, ([*old, other],))
    page.goto("/dashboard/jobs")
    field = page.get_by_role("searchbox")
    field.press_sequentially("err")
    expect(page.get_by_role("option", name="error:")).to_be_visible()
    for key in ("ArrowDown", "Enter"):
        field.press(key)
    expect(field).to_have_value("error:")
    page.get_by_role("option", name="error:timeout").click()
    expect(field).to_have_value("error:timeout ")
    field.press_sequentially("finished:yes")
    expect(page.get_by_role("option", name="finished:yesterday")).to_be_visible()
    for key in ("ArrowDown", "Tab", "Escape", "Enter"):
        field.press(key)
    expect(page.locator(".bulk")).to_contain_text("3 match")
    page.get_by_role("button", name="Retry …").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Retry 3 jobs?")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"By error\s+3\s+timeout"))
    page.get_by_label("Name").fill("shop outage")
    page.get_by_role("button", name="Try one first").click()
    expect(page.get_by_role("main")).to_contain_text("1 retried, 2 left")
    page.get_by_role("button", name="Retry the other 2").click()
    expect(page.get_by_role("main")).to_contain_text("3 retried.")
    assert {look(site.queue, job)["status"] for job in old} == {"queued"}
    assert {look(site.queue, job)["status"] for job in (today, other)} == {"failed"}
    page.goto("/dashboard/log")
    page.get_by_role("link", name="shop outage").click()
    page.get_by_role("link", name="All its jobs").click()
    expect(page.locator("#rows > li")).to_have_count(3)


def test_a_cause_is_discarded_by_a_search_and_undone(page: Page, site: Site, populated: Population) -> None:
    """The preview counts by host and cause; the page of the action undoes it."""
    before = len(dead_letters(site.queue))
    page.goto("/dashboard/dlq")
    page.locator(".row.cause", has_text="502").locator(".count").click()
    page.get_by_role("button", name="Discard …").click()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"By host\s+3\s+unknown"))
    page.get_by_label("Reason").fill("the API is gone")
    page.get_by_role("button", name="Discard 3 now").click()
    expect(page.get_by_role("main")).to_contain_text("3 discarded.")
    assert len(dead_letters(site.queue)) == before - 3
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#flash")).to_contain_text("opened again")
    assert len(dead_letters(site.queue)) == before


def test_a_replay_shows_how_the_earlier_ones_ended(page: Page, site: Site) -> None:
    """Before anything is replayed."""
    failing(site.queue, TIMEOUT)
    site.post("/api/dlq/replay", {"dry_run": False})
    [job] = [row.id for row in site.queue.list_jobs(statuses=["queued"])]
    site.queue.cancel(job)
    failing(site.queue, TIMEOUT)
    page.goto("/dashboard/jobs?q=is:dead-lettered")
    page.get_by_role("button", name="Replay …").click()
    expect(page.get_by_role("main")).to_contain_text("0 of 1 replay of the cause")


def test_types_of_a_search_are_paused(page: Page, site: Site, populated: Population) -> None:
    """The form names each type that was found."""
    page.goto("/dashboard/jobs?q=status:queued+type:figma")
    page.get_by_role("link", name="Pause …").click()
    page.get_by_label("Reason to pause figma").fill("limit")
    page.get_by_role("button", name="Pause figma").click()
    expect(page.locator("#flash")).to_contain_text("Paused")
    assert "figma" in {row.name for row in site.queue.list_paused()}


def test_a_misspelt_qualifier_offers_no_action(page: Page, populated: Population) -> None:
    """The nearest qualifier is suggested, and what the rest finds is not acted on."""
    page.goto("/dashboard/jobs?q=staus:failed+type:browser")
    expect(page.locator(".banner.warn").first).to_contain_text("status:")
    expect(page.locator(".bulk")).to_have_count(0)
    expect(page.get_by_role("searchbox")).to_have_value("staus:failed type:browser")


def test_a_link_to_an_artifact_leads_through_the_login(site: Site, populated: Population, visitor: Page) -> None:
    """A browser is redirected to the login page, then to the file; an HTTP client gets 401."""
    [file] = [one for one in site.get("/api/artifacts")["artifacts"] if one["name"] == "screenshot.png"]
    link = f"{site.url}{file['content_url']}"
    assert httpx.get(link).status_code == 401
    assert httpx.get(link, headers={"accept": "image/avif,image/webp,*/*"}).status_code == 401
    visitor.goto(link)
    expect(visitor.get_by_role("heading", level=1)).to_have_text("Log in")
    visitor.get_by_label("Admin token").fill(TOKEN)
    with visitor.expect_response(lambda answer: answer.url == link) as seen:
        visitor.get_by_role("button", name="Log in").click()
    assert (seen.value.status, seen.value.body()) == (200, PIXEL)


def test_a_link_from_another_site_uses_the_session(site: Site, populated: Population, visitor: Page) -> None:
    """Browsers withhold a strict cookie on cross-site navigation; the page opens without a second login."""
    logged_in(visitor.context, site)
    visitor.route(
        "http://chat.example/",
        lambda route: route.fulfill(
            content_type="text/html", body=f"<a href='{site.url}/dashboard/jobs/{populated.dead}'>job</a>"
        ),
    )
    visitor.goto("http://chat.example/")
    visitor.get_by_role("link", name="job").click()
    expect(visitor).to_have_url(re.compile(f"/dashboard/jobs/{populated.dead}"))
    expect(visitor.locator("#payload")).to_contain_text("shop.example.com")


def test_a_viewer_sees_no_buttons(site: Site, populated: Population, visitor: Page) -> None:
    """Pages show a viewer no buttons but those that copy text, give the reason, and update live."""
    token, _ = tokens_of(site).create("visitor", "viewer")
    visitor.context.add_cookies([{"name": "cogo_session", "value": site.cookie(token=token), "url": site.url}])
    for path in (f"/dashboard/jobs/{populated.dead}", "/dashboard/workers", "/dashboard/alerts", "/dashboard/dlq"):
        visitor.goto(path)
        buttons = visitor.locator("main button:visible:not([data-copy])")
        assert buttons.count() == 0, path
        expect(visitor.get_by_text("visitor has the role viewer").first).to_be_visible()
    visitor.goto("/dashboard/jobs")
    expect(visitor.locator("#live")).to_have_text("live")


def test_the_open_page_causes_no_failed_requests(site: Site, populated: Population, visitor: Page) -> None:
    """Without a session, the overview shows numbers without errors, and its links lead to the login page."""
    answers: list[int] = []
    messages: list[str] = []

    def note_answer(answer: Response) -> None:
        answers.append(answer.status)

    def note_message(message: ConsoleMessage) -> None:
        messages.append(message.text)

    visitor.on("response", note_answer)
    visitor.on("console", note_message)
    visitor.goto("/dashboard/local")
    expect(visitor.locator(".tile", has_text="Dead-lettered").locator("b")).to_have_text("5")
    assert "orders" not in visitor.content()
    visitor.remove_listener("response", note_answer)
    visitor.remove_listener("console", note_message)
    assert (max(answers) < 300, messages) == (True, [])
    visitor.locator(".tile", has_text="Failed").click()
    expect(visitor.get_by_role("heading", level=1)).to_have_text("Log in")


def test_an_artifact_is_signed_on_request_and_shown_on_its_jobs_page(
    over_rest: Application, stand_in: StandIn, url: str, browser: Browser, tmp_path: Path
) -> None:
    """The API redirects to Storage; a client gets the bytes there, and a browser shows the screenshot."""
    job_id = with_files(over_rest.queue, over_rest.store, running_job(over_rest.queue), tmp_path)
    with httpx.Client(base_url=url, headers=ADMIN) as client:
        rows = client.get(f"/api/jobs/{job_id}").json()["artifacts"]
        picture = next(row for row in rows if row["name"] == "screenshot.png")
        led = client.get(f"/api/artifacts/{picture['id']}/content")
        assert (led.status_code, led.headers["location"].startswith(f"{stand_in.url}/storage/v1/object/sign/")) == (
            303,
            True,
        )
    assert httpx.get(led.headers["location"]).content == PIXEL
    errors: list[str] = []
    page = browser.new_page(base_url=url)
    watch(page, errors)
    log_in(page)
    page.goto(f"/dashboard/jobs/{job_id}")
    shown = page.locator("img[src*='/content']")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.close()
    assert errors == []
