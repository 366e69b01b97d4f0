"""The dashboard in a real browser: pages, keyboard shortcuts, actions, live updates, and untrusted content."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.values import span
from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.errors import DatabaseUnavailable
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import a_worker, add, look, running_job, settle, take_one
from cogo_dagster_tests.web.axe import axe_source, check_accessible
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site, logged_in
from cogo_dagster_tests.web.population import GONE, Population, failing, gate_history, with_files
from cogo_dagster_tests.web.tab import watch
from cogo_dagster_tests.worker.bench import eventually

PAGES = {
    "overview": "/dashboard/local",
    "jobs": "/dashboard/jobs",
    "search": "/dashboard/jobs?q=type:browser+status:failed+error:timeout",
    "nothing found": "/dashboard/jobs?q=error:none_such",
    "done job": "/dashboard/jobs/{done}",
    "dead job": "/dashboard/jobs/{dead}",
    "running job": "/dashboard/jobs/{running}",
    "waiting job": "/dashboard/jobs/{waiting}",
    "dead-letter queue": "/dashboard/dlq",
    "cause": "/dashboard/dlq?fingerprint={cause}",
    "bulk actions": "/dashboard/actions",
    "bulk action": "/dashboard/actions/{action}",
    "pause": "/dashboard/pause?q=type:browser",
    "new job": "/dashboard/jobs/new",
    "new job as JSON": "/dashboard/jobs/new?type=figma.images&json=true",
    "run with changes": "/dashboard/jobs/new?from={dead}",
    "workers": "/dashboard/workers",
    "worker": "/dashboard/workers?name=worker-1",
    "gate": "/dashboard/gate?type=all",
    "week": "/dashboard/weeks",
    "history": "/dashboard/history?range=7d",
    "history by type": "/dashboard/history?range=30d&by=type",
    "alerts": "/dashboard/alerts",
    "log": "/dashboard/log",
    "login": "/dashboard/login",
    "not found": "/dashboard/jobs/01234567-89ab-7def-8123-456789abcdef",
}

each_page = pytest.mark.parametrize("path", PAGES.values(), ids=list(PAGES))


FOCUS = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
    if (at === document.body) return null;
    if (style.outlineStyle === "none") return `${at.outerHTML}: no outline`;
    if (at.closest("header, .skip") || box.height > 400) return "";
    const covered = box.top < document.querySelector(".top").getBoundingClientRect().bottom
        || box.bottom > document.querySelector(".top nav").getBoundingClientRect().top;
    return covered ? `${at.outerHTML}: covered` : "";
}"""
"""Returns what is wrong with the element that has the focus, an empty text, or null at the end of the page."""


def log_in(page: Page, token: str = TOKEN) -> None:
    """Log in as Anna."""
    page.context.clear_cookies()
    page.goto("/dashboard/login?next=/dashboard/jobs")
    page.get_by_label("Admin token").fill(token)
    page.get_by_label("Your name").fill("Anna")
    page.get_by_role("button", name="Log in").click()


def shown(page: Page, path: str) -> str:
    """Return the source of a page for the session of an opened one."""
    answer = page.request.get(path)
    assert answer.status == 200
    return answer.text()


def address(path: str, populated: Population) -> str:
    """Insert the ids of the test data into a path."""
    names = ("done", "dead", "running", "waiting", "action", "cause")
    return path.format(**{name: getattr(populated, name) for name in names})


@dataclass(frozen=True)
class Inspected:
    """A page that opens one address after another.

    Attributes:
        url: Address of the server.
        errors: What the page caused and must not.
        requested: Addresses of its requests.
    """

    page: Page
    url: str
    populated: Population
    errors: list[str]
    requested: list[str]


@pytest.fixture(scope="module")
def inspected(read_only: tuple[Site, Population], browser: Browser) -> Iterator[Inspected]:
    """Open a page with axe-core on a server with every kind of row; a second one would compile axe-core again."""
    site, populated = read_only
    gate_history(site.application)
    site.application.alerts.evaluate()
    gone = [str(failing(site.queue, GONE))]
    site.application.perform(Operation("discard_dlq", {"reason": "gone", "job_ids": gone}), "me")
    context = browser.new_context(base_url=site.url)
    context.add_init_script(axe_source())
    logged_in(context, site)
    page, errors, requested = context.new_page(), list[str](), list[str]()
    watch(page, errors)
    page.on("request", lambda request: requested.append(request.url))
    yield Inspected(page, site.url, populated, errors, requested)
    context.close()


@each_page
def test_pages_are_accessible_and_load_nothing_from_other_origins(inspected: Inspected, path: str) -> None:
    """axe-core finds no violation, wide and narrow, light and dark, and no page is wider than the viewport.

    All requests go to this server, there is no inline script or style, and the page causes no error.
    """
    page = inspected.page
    inspected.errors.clear()
    inspected.requested.clear()
    answer = page.goto(address(path, inspected.populated))
    assert answer
    assert not re.search(r"<[^>]*\sstyle=", answer.text())
    assert page.locator("script:not([src])").count() == 0
    check_accessible(page)
    assert len(inspected.requested) > 1
    assert [url for url in inspected.requested if not url.startswith((inspected.url, "data:"))] == []
    assert inspected.errors == []


def test_a_cause_is_discarded_with_a_reason_and_opened_again(page: Page, populated: Population) -> None:
    """The preview asks for a reason, and the log undoes the discard."""
    page.goto("/dashboard/dlq")
    rows = page.locator(".row.cause")
    count = rows.count()
    rows.first.locator(".count").click()
    page.get_by_role("button", name="Discard …").click()
    page.get_by_label("Reason").fill("the shop is closed")
    page.get_by_role("button", name=re.compile("Discard .* now")).click()
    expect(page.get_by_role("main")).to_contain_text("discarded.")
    assert shown(page, "/dashboard/dlq").count('class="row cause"') == count - 1
    page.goto("/dashboard/log")
    expect(page.locator(".row.op").first).to_contain_text("the shop is closed")
    page.get_by_role("button", name="Undo").first.click()
    expect(page.locator("#flash")).to_contain_text("opened again")
    assert shown(page, "/dashboard/dlq").count('class="row cause"') == count


def test_one_job_of_a_cause_is_tried_before_the_others(page: Page, site: Site, populated: Population) -> None:
    """The cause then shows how many of its replays succeeded."""
    page.goto("/dashboard/dlq")
    cause = page.locator(".cause", has_text="answered 502").locator(".count.big").get_attribute("href") or ""
    page.goto(cause)
    page.get_by_role("button", name="Replay …").click()
    page.get_by_role("button", name="Try one first").click()
    expect(page.get_by_role("main")).to_contain_text("1 replayed, 2 left")
    settle(site.queue, take_one(site.queue))
    page.goto(cause)
    expect(page.locator("#dlq")).to_contain_text("1 of 1 replay of this cause succeeded")
    expect(page.locator(".row.job")).to_have_count(2)
    page.get_by_role("button", name="Replay …").click()
    expect(page.locator("main")).to_contain_text("1 of 1 replay of the cause")


def test_a_discarded_job_offers_the_undo(page: Page, site: Site, populated: Population) -> None:
    """Its page says why it was discarded, and by whom it can be acted on again."""
    page.goto(f"/dashboard/jobs/{populated.dead}")
    page.get_by_role("button", name="Discard …").click()
    page.get_by_label("Reason").fill("the shop is closed")
    page.get_by_role("button", name="Discard 1 now").click()
    expect(page.get_by_role("main")).to_contain_text("1 discarded.")
    page.goto(f"/dashboard/jobs/{populated.dead}")
    expect(page.locator(".why")).to_contain_text("was discarded")
    expect(page.locator(".why")).to_contain_text("the shop is closed")
    expect(page.get_by_role("button", name="Discard …")).to_have_count(0)
    page.get_by_role("button", name="Undo the discard").click()
    expect(page.locator("#flash")).to_contain_text("opened again: 1")
    assert re.search(r"Discard …\s*</button>", shown(page, f"/dashboard/jobs/{populated.dead}"))


def test_an_operator_finds_why_a_job_waits(page: Page, site: Site, populated: Population) -> None:
    """From the overview: the reason with its advice, the jobs, the job; and by the digits of its ID that lists show."""
    job_id = add(site.queue, "gate", payload={}, executor_id="mac-9")
    site.queue.resume("type", "gate", actor="anna")
    page.goto("/dashboard/local")
    reason = page.locator("#waiting li", has_text="gate")
    expect(reason).to_contain_text("no live worker runs gate jobs, which need COGO_GATE_COMMANDS")
    expect(reason).to_contain_text("EXECUTOR_ID=mac-9")
    reason.get_by_role("link").click()
    expect(page.locator(".rows > li")).to_have_count(1)
    shown = page.locator(".row.job code").inner_text()
    page.locator(".row.job").click()
    expect(page.locator(".why")).to_contain_text("No live worker runs gate jobs: start one with")
    page.goto("/dashboard/jobs")
    page.locator("#q").fill(shown)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/dashboard/jobs/{job_id}$"))


def test_an_operator_finds_which_worker_lost_leases(
    page: Page, site: Site, populated: Population, owner: Owner
) -> None:
    """From the number on the overview to the jobs, and to the attempt with the name of the worker."""
    add(site.queue, priority=0)
    lost = take_one(site.queue, worker=a_worker("lossy"))
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 s' where status = 'running'")
    site.queue.recover()
    page.goto("/dashboard/local")
    page.locator(".tile", has_text="Lease losses").click()
    expect(page.locator(".rows > li")).to_have_count(2)
    page.locator(".row.job", has_text=str(lost.id)[-8:]).click()
    expect(page.locator("#timeline")).to_contain_text("lossy")


def test_an_alert_links_to_its_cause_and_its_job(page: Page, site: Site, populated: Population) -> None:
    """On the overview and in its details, which have the whole error and what was delivered."""
    site.application.alerts.evaluate()
    page.goto("/dashboard/local")
    alert = page.locator("#firing li", has_text="fail: timeout")
    expect(alert.get_by_role("link", name="Job")).to_have_attribute("href", f"/dashboard/jobs/{populated.dead}")
    alert.get_by_role("link", name="Cause").click()
    expect(page.locator(".row.job")).to_have_count(1)
    page.goto("/dashboard/alerts")
    alert = page.locator(".row.alert", has_text="fail: timeout")
    alert.get_by_text("Details").click()
    expect(alert.locator("dl")).to_contain_text("The page did not load within 30 s")
    alert.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator(".why")).to_contain_text("Failed (out of attempts)")


def test_an_alert_is_silenced_for_two_hours(page: Page, site: Site, populated: Population) -> None:
    """The overview and the navigation count firing alerts; one is silenced with a reason, and the silence ended."""
    site.application.alerts.evaluate()
    page.goto("/dashboard/local")
    firing = page.locator("#firing .banner a")
    expect(firing).to_have_text("3 alerts")
    expect(page.locator("nav").get_by_role("link", name="Alerts")).to_contain_text("3")
    firing.click()
    page.get_by_role("link", name="Silence").first.click()
    page.get_by_label("Reason").fill("the shop moves")
    page.get_by_role("button", name="For 2 h").click()
    expect(page.locator("#flash")).to_have_text("Alert silenced.")
    expect(page.locator(".banner", has_text="the shop moves")).to_contain_text(re.compile("ends in [12] h"))
    page.get_by_role("button", name="End this silence").click()
    expect(page.locator(".banner", has_text="the shop moves")).to_have_count(0)


def test_a_search_is_in_the_address_and_its_filters_can_be_removed(page: Page, populated: Population) -> None:
    """A search sets the address and shows its filters; removing a filter changes the results."""
    page.goto("/dashboard/jobs")
    page.keyboard.press("/")
    page.keyboard.type("type:browser status:failed error:timeout")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=type%3Abrowser\+status%3Afailed\+error%3Atimeout"))
    expect(page.locator(".rows > li")).to_have_count(1)
    expect(page.locator(".rail [aria-current]")).to_contain_text("failed")
    page.locator(".chip", has_text="error:timeout").click()
    expect(page.locator(".rows > li")).to_have_count(17)
    assert "Unknown status &#39;nonsense&#39;" in shown(page, "/dashboard/jobs?q=status:nonsense")


def test_keyboard_shortcuts_move_through_rows_and_pages(page: Page, populated: Population) -> None:
    """j, j, Enter opens the second job; g d opens the dead-letter queue; ? opens the help."""
    page.goto("/dashboard/jobs")
    second = page.locator("[data-row]").nth(1).get_attribute("href")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{second}$"))
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("/dashboard/dlq$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_focus_is_never_below_the_header_or_the_navigation(page: Page, populated: Population) -> None:
    """The tab key scrolls each element into the visible part of a narrow page, and each one has an outline."""
    page.set_viewport_size({"width": 390, "height": 700})
    page.goto(f"/dashboard/jobs/{populated.dead}")
    found = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found.append(page.evaluate(FOCUS))
        if found[-1] is None:
            break
    assert len(found) > 20
    assert [one for one in found if one] == []


def test_a_job_shows_its_artifacts(page: Page, populated: Population) -> None:
    """The screenshot is shown as an image, HTML and JSON as text."""
    page.goto(f"/dashboard/jobs/{populated.done}")
    assert page.locator(".shot img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    page.get_by_text("HTML source").click()
    expect(page.locator("pre", has_text="<title>Example</title>")).to_be_visible()
    expect(page.locator("pre", has_text='"prices"')).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text("Attempt 1 succeeded")


def test_a_wrong_token_does_not_log_in(page: Page, populated: Population, site: Site) -> None:
    """The login page shows an error, and other pages still require a login."""
    log_in(page, "wrong")
    expect(page.locator("#problem")).to_contain_text("The token is wrong")
    page.goto(f"/dashboard/jobs/{populated.dead}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_job_is_cancelled_retried_and_replayed(page: Page, populated: Population, site: Site) -> None:
    """Each button works, shows a message, and is logged under the operator's name."""
    page.goto(f"/dashboard/jobs/{populated.waiting}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_contain_text("Job cancelled.")
    expect(page.locator("h1 .status")).to_have_text("cancelled")
    page.goto(f"/dashboard/jobs/{populated.dead}")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("h1 .status")).to_have_text("queued")
    [dead_lettered] = site.queue.list_dlq(max_jobs=1)
    page.goto(f"/dashboard/jobs/{dead_lettered.document['job_id']}")
    page.get_by_role("button", name="Replay as a new job").click()
    expect(page.locator("#facts")).to_contain_text("Replay of")
    assert shown(page, "/dashboard/log").count('class="row op"') == 4
    assert {one.document["actor"] for one in site.queue.list_operations(max_operations=3)} == {"web:Anna"}


def test_all_jobs_of_a_cause_are_replayed_after_a_preview(page: Page, populated: Population, site: Site) -> None:
    """The preview counts and lists the jobs; the button replays them and no others."""
    page.goto("/dashboard/dlq")
    page.locator(".cause", has_text="answered 502").get_by_role("button", name="Replay …").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay 3 jobs?")
    expect(page.locator(".rows > li")).to_have_count(3)
    assert site.queue.list_operations(operation="replay_dlq") == []
    page.get_by_role("button", name="Replay 3 now").click()
    expect(page.get_by_role("main")).to_contain_text("3 replayed.")
    assert shown(page, "/dashboard/dlq").count('class="row cause"') == 2


def test_a_type_is_paused_and_resumed(page: Page, site: Site) -> None:
    """A pause on the workers' page shows a banner on other pages until it is resumed."""
    page.goto("/dashboard/workers")
    page.get_by_label("Name").fill("browser")
    page.get_by_label("Reason").fill("the site is down")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#paused-list")).to_contain_text("the site is down")
    [banner] = re.findall(r'<p class="banner.*?</p>', shown(page, "/dashboard/local"), re.DOTALL)
    assert "paused by web:Anna" in banner
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#paused-list")).to_contain_text("Nothing is paused.")


def test_pages_update_live(page: Page, site: Site) -> None:
    """A job appears, runs and finishes in the list without a reload."""
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.untouched = true")
    job_id = add(site.queue, payload={"url": "https://example.com/new"})
    row = page.locator(f"a[href='/dashboard/jobs/{job_id}']")
    expect(row).to_contain_text("queued")
    job = take_one(site.queue)
    expect(row).to_contain_text("running")
    settle(site.queue, job)
    expect(row).to_contain_text("succeeded")
    assert page.evaluate("window.untouched")


def test_a_change_before_the_event_stream_is_shown(page: Page, site: Site) -> None:
    """A job that is enqueued after the page was rendered, before its event stream opens, appears."""

    def add_and_continue(route: Route) -> None:
        add(site.queue)
        route.continue_()

    page.route("**/dashboard/live*", add_and_continue)
    page.goto("/dashboard/jobs")
    expect(page.locator(".rows > li")).to_have_count(1)


EVENT = """(mark) => {
    const plan = window.setTimeout;
    let planned = 0;
    window.setTimeout = () => { planned += 1; };
    live.source.dispatchEvent(new MessageEvent("change", { data: mark }));
    window.setTimeout = plan;
    return planned;
}"""
"""Sends the page an event, and returns how many updates it plans."""


def test_a_page_is_fetched_again_only_if_it_has_changed(page: Page, site: Site) -> None:
    """The page has the mark of the event stream, with which it compares the first event."""
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("live")
    shown = page.locator("body").get_attribute("data-mark")
    with site.client.stream("GET", "/dashboard/live", headers=ADMIN) as stream:
        lines = [line for line, _ in zip(stream.iter_lines(), range(2), strict=False)]
    assert lines == ["event: change", f"data: {shown}"]
    assert [page.evaluate(EVENT, mark) for mark in (shown, "other", "other")] == [0, 1, 0]


def test_a_paused_page_does_not_change(page: Page, site: Site) -> None:
    """The key p pauses live updates; p again resumes them and shows what has changed."""
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("live")
    page.keyboard.press("p")
    expect(page.locator("#live")).to_have_text("paused")
    add(site.queue)
    page.keyboard.press("p")
    expect(page.locator(".rows > li")).to_have_count(1)


def test_updates_can_be_paused_before_the_event_stream_is_open(page: Page, site: Site) -> None:
    """The page is not live until the server has responded, and p works before that."""
    page.route("**/dashboard/live*", lambda _: None)
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("connecting")
    page.keyboard.press("p")
    expect(page.locator("#live")).to_have_text("paused")


@pytest.mark.parametrize("end", [Route.continue_, Route.abort], ids=["response", "failure"])
def test_an_update_that_ends_after_the_pause_is_dropped(
    page: Page, site: Site, errors: list[str], end: Callable[[Route], None]
) -> None:
    """The response to a request that was sent before the pause changes neither the rows nor the label."""
    updates: list[Route] = []
    page.route(
        "**/dashboard/jobs",
        lambda route: route.continue_() if route.request.is_navigation_request() else updates.append(route),
    )
    page.goto("/dashboard/jobs")
    with page.expect_request(lambda request: request.resource_type == "fetch"):
        page.evaluate("void refresh()")
    page.keyboard.press("p")
    add(site.queue)
    end(updates[0])
    page.evaluate("async () => { while (live.busy) await new Promise((done) => setTimeout(done, 10)); }")
    expect(page.locator("#live")).to_have_text("paused")
    expect(page.locator(".rows > li")).to_have_count(0)
    errors.clear()  # the browser reports the failed request


def test_a_page_polls_without_an_event_stream(browser: Browser, site: Site) -> None:
    """If the event stream is not available, the page fetches itself every ten seconds."""
    context = browser.new_context(base_url=site.url)
    logged_in(context, site)
    page = context.new_page()
    page.clock.install()
    page.route("**/dashboard/live*", lambda route: route.fulfill(status=204))
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("polling")
    add(site.queue)
    page.clock.run_for(11_000)
    expect(page.locator(".rows > li")).to_have_count(1)
    context.close()


def test_a_page_whose_session_has_ended_says_so(page: Page, site: Site) -> None:
    """The label beside the dot tells a session that has ended from a server that does not respond."""
    page.goto("/dashboard/jobs")
    live = page.locator("#live")
    expect(live).to_have_text("live")
    page.context.clear_cookies()
    page.evaluate("refresh()")
    expect(live).to_have_text("logged out")
    expect(live).to_have_attribute("data-state", "lost")


def test_a_hidden_page_has_no_event_stream(page: Page, site: Site) -> None:
    """Browsers open six connections to a server: many tabs must not use them up. A page updates when it is shown."""
    page.goto("/dashboard/jobs")
    live = page.locator("#live")
    expect(live).to_have_attribute("data-state", "live")
    show = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    show += " document.dispatchEvent(new Event('visibilitychange'));"
    show += " return live.source.readyState === EventSource.CLOSED; }"
    assert page.evaluate(show, True)
    job = add(site.queue)
    assert not page.evaluate(show, False)
    expect(page.locator(f"[href='/dashboard/jobs/{job}']")).to_be_visible()
    expect(live).to_have_attribute("data-state", "live")


def test_a_time_in_the_future_keeps_its_unit(page: Page, site: Site) -> None:
    """The script rounds it as the server does; a past time is rounded down."""
    page.goto("/dashboard/local")
    shown = page.evaluate("[7100, -7100, 172700, -172700, 59.8, 0.2, -90].map((seconds) => [seconds, span(seconds)])")
    assert shown == [[seconds, span(seconds, nearest=seconds > 0)] for seconds, _ in shown]
    assert dict(map(tuple, shown))[172700] == "2 d"


def test_the_theme_is_saved(page: Page, site: Site) -> None:
    """The key t switches to dark, which persists over a reload."""
    page.goto("/dashboard/jobs")
    page.keyboard.press("t")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 19)"


XSS = (
    "\"><img src=x onerror=alert(1)>'><svg/onload=alert(2)>",
    "javascript:alert(3)//<script>alert(4)</script>",
    "{{7*7}}{% raw %}${7*7}</title></textarea></pre><script>alert(5)</script>",
    "<a href='javascript:alert(6)'>click</a>\u202e<iframe srcdoc='<script>parent.alert(7)</script>'>\u2028",
)


def test_untrusted_text_is_escaped(page: Page, populated: Population, site: Site, owner: Owner) -> None:
    """With the text in every possible column, no page opens a dialog, contains an element of it, or runs its script."""
    gate_history(site.application)
    paths = [address(path, populated) for path in PAGES.values()]
    script, url = "".join(XSS), "javascript:alert(8)"
    taint(owner, url)
    logged_in(page.context, site)
    page.goto(f"/dashboard/jobs/{populated.dead}")
    expect(page.locator("#payload")).to_contain_text(url)
    assert page.evaluate(FOUND_IN_DOCUMENTS, [[*paths, *causes(site)], UNTRUSTED]) == []
    for poison in (script, f"{url}//{script}"):  # some columns reject the longer text
        taint(owner, poison)
    logged_in(page.context, site)
    job = look(site.queue, populated.dead)
    page.goto(f"/dashboard/jobs/{populated.dead}")
    expect(page.locator("#payload")).to_contain_text("alert")
    documents = [*paths, f"/dashboard/dlq?fingerprint={job['id']}", *causes(site)]
    assert page.evaluate(FOUND_IN_DOCUMENTS, [documents, UNTRUSTED]) == []
    for name in WITH_SCRIPTS:
        path = address(PAGES[name], populated)
        page.goto(path)
        assert page.locator(UNTRUSTED).count() == 0, path


WITH_SCRIPTS = ("overview", "jobs", "dead job", "running job", "new job", "workers", "history", "history by type")
"""Pages that scripts change: charts, suggestions, times, copy buttons. The others are as the parser reads them."""

UNTRUSTED = "img[src=x], iframe, a[href^='javascript'], [onload], [onerror], script:not([src])"
FOUND_IN_DOCUMENTS = """async ([paths, selector]) => {
    const found = [];
    for (const path of paths) {
        const answer = await fetch(path), page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (!page.querySelector("main") || page.querySelector(selector)) found.push(`${answer.status} ${path}`);
    }
    return found;
}"""


def causes(site: Site) -> list[str]:
    """Return the addresses of all causes of failures."""
    found = (cause.document["fingerprint"] or "" for cause in site.queue.list_incidents())
    return [f"/dashboard/dlq?fingerprint={quote(fingerprint)}" for fingerprint in found]


def taint(owner: Owner, poison: str) -> None:
    """Write a text into every text and JSON column that accepts it."""
    columns = owner.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'public' and data_type in ('text', 'jsonb') and is_generated = 'NEVER'"
        " and table_name in (select table_name from information_schema.tables"
        "                    where table_schema = 'public' and table_type = 'BASE TABLE')"
    ).fetchall()
    tainted = 0
    for table, column, kind in columns:
        # These columns are validated: a status, a storage key, and a type without wildcards.
        if (table, column) in {("jobs", "status"), ("artifacts", "storage_key"), ("paused", "name")}:
            continue
        value = (
            "%s::text || (random() * 1e9)::int::text"
            if kind == "text"
            else "jsonb_build_object("
            "'class', %s::text, 'message', %s::text, 'detail', %s::text, 'url', %s::text, %s::text, %s::text)"
        )
        arguments = [poison] * value.count("%s")
        if table == "worker_metrics":
            continue  # numeric; other values are rejected below
        try:
            owner.execute(f'update public.{table} set "{column}" = {value}'.encode(), arguments)
            tainted += 1
        except (psycopg.errors.CheckViolation, psycopg.errors.UniqueViolation, psycopg.errors.InvalidParameterValue):
            continue
    assert tainted > 40


def test_the_login_does_not_redirect_to_other_sites(page: Page, site: Site) -> None:
    """If `next` is an address of another site, in a link or a form, the login redirects to the overview."""
    for place in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
        site.client.cookies.clear()
        shown = site.client.get("/dashboard/login", params={"next": place})
        assert 'name="next" value="/dashboard/local"' in shown.text
        form = {"token": TOKEN, "name": "Anna", "next": place}
        logged = site.client.post("/dashboard/login", data=form, headers={"origin": site.url})
        again = site.client.get("/dashboard/login", params={"next": place})  # with the session
        for answer in (logged, again):
            assert re.fullmatch(r"/dashboard/local(\?did=login)?", answer.headers["location"]), place
    page.context.clear_cookies()
    page.goto("/dashboard/login?next=/\\evil.example")  # browsers read a backslash as a slash
    page.get_by_label("Admin token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(f"^{re.escape(site.url)}/dashboard/local"))


def test_a_trace_opens_in_playwrights_viewer(
    browser: Browser, site: Site, populated: Population, tmp_path: Path, errors: list[str]
) -> None:
    """A real trace opens on an origin without a session, and shows its action."""
    recorded = browser.new_context()
    recorded.tracing.start(screenshots=True, snapshots=True)
    tab = recorded.new_page()
    tab.set_content("<title>Traced</title><button>Pay</button>")
    tab.click("text=Pay")
    recorded.tracing.stop(path=tmp_path / "made.zip")
    recorded.close()
    folder = tmp_path / "again"
    folder.mkdir()
    job = with_files(site.queue, site.application.store, running_job(site.queue), folder, tmp_path / "made.zip")
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    watch(page, errors)
    log_in(page)
    page.goto(f"/dashboard/jobs/{job}")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open the trace").click()
    viewer = opened.value
    expect(viewer.get_by_text("Click").first).to_be_visible(timeout=30_000)
    assert viewer.url.startswith("http://traces.localhost:")
    assert [one["name"] for one in context.cookies(viewer.url)] == []
    context.close()


def test_an_unreachable_database_is_a_503(serve: Serve, browser: Browser, site: Site) -> None:
    """Pages and the API respond with 503 and a message, without a traceback; a page loads itself again afterwards."""
    up: list[bool] = []

    def opened() -> AbstractContextManager[Application]:
        if not up:
            raise DatabaseUnavailable(
                "The database cannot be reached (Connection refused): start it, or check its address."
            )
        return nullcontext(site.application)

    with serve(opener=opened) as broken:
        context = browser.new_context(base_url=broken.url)
        page = context.new_page()
        page.clock.install()
        answer = page.goto("/dashboard/local")
        assert answer is not None
        assert answer.status == 503
        expect(page.locator("#message")).to_have_text(re.compile("^The database cannot be reached"))
        for path in ("/api/jobs", "/metrics", "/readyz", "/api/metrics/gate/summary"):
            refused = broken.client.get(path, headers=ADMIN)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["error"].startswith("The database cannot be reached")
        assert broken.client.get("/healthz").status_code == 200
        sent = broken.client.post(
            "/dashboard/jobs/new", headers={"referer": f"{broken.url}/dashboard/jobs/new?type=gate"}
        )
        assert '<a class="button" href="/dashboard/jobs/new">Back</a>' in sent.text
        up.append(True)
        eventually(lambda: broken.client.get("/readyz").status_code == 200, "the server is ready")
        page.clock.run_for(6_000)
        expect(page.get_by_label("Queue statistics")).to_be_visible()
        context.close()
