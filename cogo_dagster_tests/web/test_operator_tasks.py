"""Tasks of an operator in a real browser: start a job, see why one failed, whether the gate passes, how a week was."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.quality.summary import number_text
from cogo_dagster.quality.weeks import shifted
from cogo_dagster.queue.artifacts import upload_artifacts
from cogo_dagster.queue.model import ArtifactFile, Job, JobError, Json, Outcome
from cogo_dagster.settings import Settings
from cogo_dagster.web.pages.job import SHOWN_ATTEMPTS
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.executors.bench import OPTIONS
from cogo_dagster_tests.executors.site import serving as serving_pages
from cogo_dagster_tests.queue.steps import a_worker, add, register, running_job, settle, take_one
from cogo_dagster_tests.web.axe import check_accessible
from cogo_dagster_tests.web.conftest import Serve, Site, logged_in
from cogo_dagster_tests.web.population import PIXEL, with_files
from cogo_dagster_tests.web.tab import Tab
from cogo_dagster_tests.worker.bench import Bench

URL = "https://shop.example.com/cart"

EVIDENCE = {
    "steps": [
        {"step": "open a browser context", "duration_ms": 60},
        {"step": f"goto {URL}", "duration_ms": 240, "error": "the server responded with 502"},
    ],
    "notes": [],
    "refused": [],
    "console_errors": ["Failed to load resource"],
    "page_errors": [],
    "failed_requests": [{"url": "https://shop.example.com/api", "reason": "net::ERR_FAILED"}],
}


@pytest.fixture(scope="module")
def tab(browser: Browser, port: socket.socket) -> Iterator[Tab]:
    """Open a tab in Seoul."""
    tab = Tab(browser, port, timezone="Asia/Seoul")
    yield tab
    tab.close()


def failed_with_evidence(site: Site, folder: Path, *, evidence: Json = EVIDENCE, screenshot: bool = True) -> UUID:
    """Let a job fail as a browser attempt does: with its record, and a screenshot if there was a page."""
    job = running_job(site.queue, payload={"url": URL}, max_attempts=1)
    return fail(site, job, folder, evidence=evidence, screenshot=screenshot)


def fail(site: Site, job: Job, folder: Path, *, evidence: Json = EVIDENCE, screenshot: bool = True) -> UUID:
    """End an attempt as failed."""
    contents = {"evidence.json": ("application/json", json.dumps(evidence).encode())}
    if screenshot:
        contents["screenshot.png"] = ("image/png", PIXEL)
    files = []
    for name, (kind, content) in contents.items():
        (folder / name).write_bytes(content)
        files.append(ArtifactFile(name, kind, folder / name))
    upload_artifacts(site.queue, site.application.store, job, files)
    error = JobError("http_status", f"goto {URL}: the server responded with 502.")
    settle(site.queue, job, Outcome.FAILED, error=error, run_seconds=0.3)
    return job.id


def test_a_job_is_enqueued_and_watched_until_its_screenshot_appears(
    browser: Browser, serve: Serve, settings: Settings
) -> None:
    """From the list of jobs: the form, the job's page, its screenshot and its steps, without a reload."""
    with serving_pages() as pages:
        allowed = settings.model_copy(update={"browser_allowed_hosts": (pages.authority,)})
        with serve(settings=allowed) as site:
            context = browser.new_context(base_url=site.url)
            logged_in(context, site)
            page = context.new_page()
            page.goto("/dashboard/jobs")
            page.get_by_role("link", name="New job").click()
            page.get_by_label("url", exact=False).first.fill("example")
            page.get_by_role("button", name="Enqueue").click()
            expect(page.locator("p.error")).to_contain_text("must start with http:// or https://")
            page.get_by_label("url", exact=False).first.fill(pages.url("/"))
            page.get_by_role("button", name="Enqueue").click()
            expect(page.locator("#flash")).to_have_text("Job enqueued.")
            expect(page.locator("h1 .status")).to_have_text("queued")
            expect(page.locator("#live")).to_have_text("live")
            page.evaluate("window.untouched = true")
            executor = BrowserExecutor(replace(OPTIONS, allowed_hosts=(pages.authority,)))
            with Bench(site.queue, site.application.store).running(executor):
                expect(page.locator("h1 .status")).to_have_text("succeeded", timeout=60_000)
                image = page.locator(".attempt .shot img").first
                expect(image).to_be_visible(timeout=30_000)
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1280
            expect(page.locator(".waterfall")).to_contain_text("goto")
            assert page.evaluate("window.untouched")
            context.close()


def test_the_last_failed_browser_job_shows_its_screenshot_and_why(page: Page, site: Site, tmp_path: Path) -> None:
    """Two clicks from the overview: the error, the step that failed, the screenshot, and the last success beside it."""
    good = with_files(site.queue, site.application.store, running_job(site.queue, payload={"url": URL}), tmp_path)
    other = running_job(site.queue, payload={"url": URL + "/other"})
    with_files(site.queue, site.application.store, other, tmp_path)
    failed_with_evidence(site, tmp_path)
    page.goto("/dashboard/local")
    page.locator(".tile", has_text="Failed").click()
    expect(page.locator("#q")).to_have_value(re.compile("status:failed"))
    page.locator(".rows a").first.click()
    expect(page.locator(".head .error-box")).to_contain_text("the server responded with 502")
    expect(page.locator(".attempt .shot img")).to_be_visible()
    expect(page.locator(".waterfall tr.failed")).to_contain_text(f"goto {URL}")
    expect(page.locator(".attempt details", has_text="1 console error, 1 failed request")).to_be_visible()
    beside = page.locator("#last-success")
    expect(beside.locator("img")).to_have_count(2)
    expect(beside.get_by_role("link").first).to_have_attribute("href", f"/dashboard/jobs/{good}")
    check_accessible(page)


def test_a_failure_without_a_screenshot_says_why(page: Page, site: Site, tmp_path: Path) -> None:
    """The record's reason is shown; records of earlier releases have it among the notes."""
    reason = "the page never finished loading"
    for record in ({"missing": {"screenshot.png": reason}}, {"notes": [f"screenshot.png is missing: {reason}."]}):
        job = failed_with_evidence(site, tmp_path, evidence=EVIDENCE | record, screenshot=False)
        page.goto(f"/dashboard/jobs/{job}")
        expect(page.locator(".no-screenshot")).to_have_text(f"No screenshot: {reason}.")


def test_attempts_are_grouped_and_older_ones_folded(page: Page, site: Site, owner: Owner, tmp_path: Path) -> None:
    """The newest attempt is open; the files of an older one are in its own section."""
    job = running_job(site.queue, payload={"url": URL}, max_attempts=2)
    fail(site, job, tmp_path)
    owner.execute("update public.jobs set next_run_at = now() where status = 'queued'")
    fail(site, take_one(site.queue), tmp_path)
    page.goto(f"/dashboard/jobs/{job.id}")
    sections = page.locator(".attempt")
    expect(sections).to_have_count(2)
    expect(sections.nth(0).locator("h2")).to_contain_text("Attempt 2")
    expect(sections.nth(0).locator("img")).to_be_visible()
    expect(sections.nth(1).locator("img")).to_be_hidden()
    sections.nth(1).locator("summary").first.click()
    expect(sections.nth(1).locator("img")).to_be_visible()


def test_a_job_with_thousands_of_attempts_has_a_short_page(site: Site, owner: Owner) -> None:
    """The latest attempts are shown, those before are listed, and all are in the API."""
    job = running_job(site.queue, "x_many", payload={"url": "https://example.com/"}, max_attempts=2)
    owner.execute(
        """insert into public.job_attempts
               (job_id, lease_token, attempt, outcome, worker_id, claimed_at, finished_at, error)
           select %s, gen_random_uuid(), n, 'failed', 'w', now() - (3000 - n) * interval '1 min',
                  now() - (3000 - n) * interval '1 min', '{"class": "timeout", "message": "It timed out."}'
           from generate_series(1, 2500) n""",
        [job.id],
    )
    text = site.read(f"/dashboard/jobs/{job.id}").text
    assert text.count('class="card wide attempt"') == SHOWN_ATTEMPTS
    assert "2\u2009491 earlier attempts" in text
    assert "all as JSON" in text
    assert "events not shown" in text
    assert len(text) < 200_000
    assert len(site.get(f"/api/jobs/{job.id}/attempts")) == 2_501


def test_times_are_in_utc_with_the_local_time(page: Page, site: Site, owner: Owner) -> None:
    """The date is shown, and the time of the browser's zone with its own date if it differs."""
    job = add(site.queue)
    owner.execute("update public.jobs set created_at = '2026-11-21T17:44:53Z' where id = %s", [job])
    page.goto(f"/dashboard/jobs/{job}")
    expect(page.locator("#timeline li").first).to_contain_text("2026-11-21")
    expect(page.locator("#timeline time").first).to_have_text("17:44:53 2026-11-22 02:44:53 GMT+9")


def test_a_job_is_copied(page: Page, site: Site) -> None:
    """The ID, the payload, the command and the request are copied; the request enqueues the same job."""
    payload = {"url": URL, "user_agent": "it's me"}
    job = add(site.queue, "browser.pdf", payload=payload, priority=2)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/dashboard/jobs/{job}")
    page.locator("#copies button").first.click()
    expect(page.locator("#copies button").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == str(job)
    page.locator("#payload button").click()
    expect(page.locator("#payload button")).to_have_text("Copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == payload
    command = page.locator("#copy-command").inner_text()
    assert command.startswith("cogo enqueue browser --type browser.pdf --payload '{")
    assert command.endswith("--priority 2")
    assert f"{site.url}/api/jobs" in page.locator("#copy-curl").inner_text()


def gate_runs(owner: Owner, *statuses: str, branch: str = "main") -> None:
    """Record gate runs, one per hour, the newest one minute ago."""
    for hours, status in enumerate(reversed(statuses)):
        owner.execute(
            "insert into public.gate_runs (id, type, status, branch, commit_sha, created_at)"
            " values (gen_random_uuid(), 'gate', %s, %s, md5(random()::text),"
            " now() - make_interval(hours => %s, mins => 1))",
            (status, branch, hours),
        )


def test_the_gate_page_says_what_would_turn_it(page: Page, site: Site, owner: Owner) -> None:
    """One click from the overview: how many failures it can stand, and when the next failure leaves the window."""
    gate_runs(owner, *["pass" if sign == "+" else "fail" for sign in "++-+++-++"])
    page.goto("/dashboard/local")
    page.get_by_role("link", name="Runs and forecast").click()
    forecast = page.locator("#forecast")
    expect(forecast).to_contain_text("7 of 9 runs passed; one more failure keeps it passing, two make it fail.")
    leaves = r"The failure of \d\d:\d\d( yesterday)? leaves the window at \d\d:\d\d"
    expect(forecast).to_contain_text(re.compile(leaves))
    expect(page.locator("#runs tbody tr")).to_have_count(9)
    expect(page.locator("#runs .s-fail")).to_have_count(2)


def test_a_failed_run_names_its_tests(page: Page, site: Site, tmp_path: Path) -> None:
    """From the list: branch, commit, and the tests of the JUnit report."""
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuite name="shop" tests="2" failures="1"><testcase classname="cart" name="adds"/>'
        '<testcase classname="cart" name="pays &lt;b&gt;"><failure/></testcase></testsuite>'
    )
    run = {"type": "gate", "status": "fail", "branch": "main", "commit_sha": "c0ffee" * 6, "pull_request": 7}
    site.application.gates.record_reports(run, {"junit": report})
    page.goto("/dashboard/gate")
    page.get_by_role("link", name="1 test").click()
    expect(page.locator("#tests li")).to_have_text(["cart › pays <b>"])
    expect(page.locator("main")).to_contain_text("pull request #7")
    check_accessible(page)


def test_this_week_is_compared_with_last(page: Page, site: Site, owner: Owner) -> None:
    """The numbers so far are beside those of last week by this time, and of the whole week."""
    gate_runs(owner, "pass", "pass", "fail", "pass", "pass")
    settle(site.queue, running_job(site.queue))
    page.goto("/dashboard/gate")
    page.get_by_role("link", name="Weeks").first.click()
    table = page.locator("#week-numbers")
    heads = ["Number", "This week so far", "Last week by this time", "Change", "Last week, whole"]
    expect(table.locator("thead th")).to_have_text(heads)
    week = site.application.gates.weekly(site.application.gates.current_week())
    row = table.locator("tr", has_text="Gate runs")
    expect(row.locator("td").first).to_have_text(number_text(week.this_week.gate.runs, ""))
    page.get_by_role("link", name=re.compile("←")).click()
    last, before = (shifted(week.week, weeks) for weeks in (-1, -2))
    expect(page.locator("#week-numbers thead th")).to_have_text(["Number", last, "Change", before])


def test_a_week_leads_to_the_page_whose_screenshot_counted_in_it(page: Page, site: Site, tmp_path: Path) -> None:
    """From the week, a picture leads to the job with its screenshot; a day leads to its jobs."""
    job = with_files(site.queue, site.application.store, running_job(site.queue, payload={"url": URL}), tmp_path)
    settle(site.queue, running_job(site.queue, payload={}))  # no page
    page.goto("/dashboard/weeks")
    expect(page.locator(".gallery li")).to_have_count(1)
    image = page.locator(".gallery img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    page.locator(".gallery a").click()
    expect(page).to_have_url(re.compile(f"/dashboard/jobs/{job}$"))
    expect(page.locator(".attempt .shot img")).to_be_visible()
    page.goto("/dashboard/weeks")
    page.locator("#week-days").get_by_role("link", name="2", exact=True).click()
    expect(page.locator(".rows > li")).to_have_count(2)


def test_a_bar_leads_to_the_jobs_of_its_hour(page: Page, site: Site) -> None:
    """The keyboard selects the last bar and reads its values; Enter opens the search, which has as many jobs."""
    for _ in range(3):
        settle(site.queue, running_job(site.queue))
    page.goto("/dashboard/history")
    expect(page.locator(".plot canvas")).to_have_count(2)
    page.locator("#jobs .plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#jobs output")).to_contain_text("3 succeeded, 0 failed")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=finished"))
    expect(page.locator(".rows > li")).to_have_count(3)


def test_finished_jobs_are_grouped_by_type(page: Page, site: Site) -> None:
    """One click on the history; the values of a bar and the table have the types, the most frequent one first."""
    for job_type in ("figma", "browser", "browser"):
        settle(site.queue, running_job(site.queue, job_type))
    page.goto("/dashboard/history?range=7d")
    page.get_by_role("link", name="by type").click()
    expect(page.locator("#jobs .legend li")).to_have_text(["browser", "figma"])
    page.locator("#jobs .plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#jobs output")).to_contain_text("2 browser, 1 figma")
    page.locator("#jobs summary").click()
    expect(page.locator("#jobs-table thead th")).to_have_text(["Hour", "browser", "figma"])
    page.get_by_role("link", name="30 days").click()
    expect(page.locator("#jobs-table thead th").first).to_have_text("Day")


def test_a_day_has_one_verdict_on_all_pages(page: Page, site: Site, owner: Owner) -> None:
    """The history shows what the week shows, whether the numbers of the day were stored or not."""
    gate_runs(owner, "pass", "fail", "pass", "pass", "pass", "pass")
    page.goto("/dashboard/history")
    page.locator("#rates summary").click()
    row = page.locator("#rates-table tbody tr").first.locator("td")
    found = row.all_inner_texts()
    page.goto("/dashboard/weeks")
    day = page.locator("#week-days tbody tr:not(.muted)").last.locator("td")
    label, runs = day.nth(0).inner_text(), day.nth(1).inner_text()
    verdict, rate, _ = found[:3]
    # After midnight, too few runs are of this day to compute a rate.
    shown = [verdict] if verdict == "Not computed" else [verdict, f"{float(rate.split()[0]):.0f}", "%"]
    assert " ".join(label.split()) == " ".join(shown)
    assert runs == found[2]


def test_values_are_readable_on_touch(browser: Browser, site: Site) -> None:
    """A tap shows the values and a link, and does not leave the page."""
    settle(site.queue, running_job(site.queue))
    context = browser.new_context(base_url=site.url, has_touch=True, viewport={"width": 390, "height": 800})
    logged_in(context, site)
    page = context.new_page()
    page.goto("/dashboard/history")
    box = page.locator("#jobs .u-over").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    expect(page.locator("#jobs output")).to_contain_text("1 succeeded")
    expect(page.locator("#jobs").get_by_role("link", name="Show these jobs")).to_be_visible()
    expect(page).to_have_url(re.compile("/dashboard/history$"))
    context.close()


def test_lost_leases_are_counted_by_worker_and_lead_to_their_jobs(page: Page, site: Site, owner: Owner) -> None:
    """Live workers come first, starts that ended are folded; the number of lost leases is that of the listed ones."""
    ended = a_worker("a-burst")
    for worker in (a_worker("a-burst"), ended, a_worker("victim"), a_worker("z-live")):
        register(site.queue, worker)
        if worker.worker_id == "a-burst":
            site.queue.stop_worker(worker)
    job = running_job(site.queue)
    owner.execute(
        "insert into public.job_attempts (job_id, attempt, lease_token, outcome, worker_id, claimed_at, finished_at)"
        " select %s, n, gen_random_uuid(), 'lost', 'victim', now(), now() - n * interval '10 hours'"
        " from generate_series(1, 3) n",
        [job.id],
    )
    page.goto("/dashboard/workers")
    expect(page.locator(".worker h2 a")).to_have_text(["victim", "z-live", "a-burst"])
    burst = page.locator(".worker", has_text="a-burst")
    expect(burst.locator("summary")).to_contain_text("2 starts")
    expect(burst.locator("table")).to_be_hidden()
    page.goto("/dashboard/workers?name=a-burst")
    expect(page.locator(".worker summary")).to_contain_text("1 earlier start")
    page.goto("/dashboard/workers")
    page.get_by_role("link", name="2 leases").click()
    expect(page.locator("#losses tbody tr")).to_have_count(2)
    expect(page.locator("#losses tbody a").first).to_have_attribute("href", f"/dashboard/jobs/{job.id}")
