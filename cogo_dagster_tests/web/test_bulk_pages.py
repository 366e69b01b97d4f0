"""Bulk actions in a real browser: from a search to its preview, its progress and the log."""

import re

from playwright.sync_api import Page, expect

from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import dead_letters, look
from cogo_dagster_tests.web.conftest import Site
from cogo_dagster_tests.web.population import HTTP, TIMEOUT, Population, failing

YESTERDAY = """
    update public.jobs set finished_at = date_trunc('day', now() at time zone 'utc') at time zone 'utc' - interval '1 h'
    where id = any (%s)
"""


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
