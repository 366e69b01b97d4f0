"""Bulk actions and completions over HTTP."""

import re
from uuid import uuid4

import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.qualifiers import QUALIFIERS
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.web.conftest import Site
from cogo_dagster_tests.web.population import HTTP, TIMEOUT, Population, failing


def act(site: Site, status: int = 200, **body: Json) -> Json:
    """Send an action and return the response."""
    return site.post("/api/actions", body, status=status)


def test_an_action_is_previewed_before_it_changes_anything(site: Site) -> None:
    """A dry run is the default: it counts by type, error, cause, host and release, and by reason of the others."""
    jobs = [failing(site.queue, TIMEOUT) for _ in range(2)]
    add(site.queue)
    shown = act(site, operation="retry", where="type:browser")
    assert (shown["dry_run"], shown["action"]) == (True, None)
    assert shown["summary"]["ineligible"] == {"not_failed": 1}
    assert shown["summary"]["error_class"] == {"timeout": 2}
    assert sorted(shown["job_ids"]) == sorted(map(str, jobs))
    assert site.get("/api/actions")["actions"] == []
    assert look(site.queue, jobs[0])["status"] == "failed"


def test_a_repeated_request_continues_the_same_action(site: Site) -> None:
    """A job that matches later is not changed by it."""
    failing(site.queue, TIMEOUT)
    body: dict[str, Json] = {
        "operation": "retry",
        "where": "error:timeout",
        "dry_run": False,
        "request_id": str(uuid4()),
    }
    first = act(site, **body, name="outage")["action"]
    later = failing(site.queue, TIMEOUT, type="gate")
    again = act(site, **body)["action"]
    assert (first["id"], first["changed"], first["state"]) == (again["id"], again["changed"], "finished")
    assert look(site.queue, later)["status"] == "failed"
    [entry] = site.get("/api/operations")["operations"]
    assert (entry["id"], entry["filter"]["name"], entry["changed"]) == (first["id"], "outage", 1)
    assert len(site.get("/api/jobs", where=f"action:{first['id'][:8]}")["jobs"]) == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"operation": "retry", "where": "staus:failed"}, "status:"),
        ({"operation": "retry", "where": ""}, "write a filter"),
        ({"operation": "discard", "where": "status:failed", "dry_run": False}, "reason"),
        ({"operation": "purge", "where": "status:failed"}, "operation"),
    ],
)
def test_a_wrong_action_is_rejected(site: Site, body: Json, says: str) -> None:
    """The message says what to write."""
    assert says in act(site, 422, **body)["error"]


def test_the_page_of_an_action_names_the_jobs_that_it_left_out(site: Site) -> None:
    """Those that the preview found ineligible, and those that changed before the run; each links to its job."""
    waiting = add(site.queue)
    first, second = (failing(site.queue, error, type="gate") for error in (TIMEOUT, HTTP))
    headers = {"origin": site.url, "cookie": f"cogo_session={site.cookie()}"}
    form = {"q": f"id:{waiting},{first},{second}", "operation": "replay"}
    address = site.client.post("/dashboard/actions", data=form, headers=headers).headers["location"]
    site.post("/api/dlq/discard", {"dry_run": False, "reason": "gone", "job_ids": [str(first)]})
    site.post(f"{address.replace('/dashboard', '/api')}/run")
    page = re.sub(r"\s+", " ", site.client.get(address, headers=headers).text)
    for why, job in (("not in the dead-letter queue", waiting), ("discarded", first)):
        assert f'<b class="count">1</b> {why}<small class="note"><a href="/dashboard/jobs/{job}">' in page
    [replayed] = site.get("/api/jobs", where=f"action:{address[-8:]} status:queued")["jobs"]
    assert (
        f'replayed as job <a href="/dashboard/jobs/{replayed["id"]}"><code>'
        in site.read(f"/dashboard/jobs/{second}").text
    )


def test_one_is_tried_first_and_a_stopped_action_is_continued(site: Site) -> None:
    """By the short ID, as the pages show it."""
    for _ in range(3):
        failing(site.queue, HTTP)
    form = {"q": "error:http_status", "operation": "retry"}
    headers = {"origin": site.url, "cookie": f"cogo_session={site.cookie()}"}
    page = site.client.post("/dashboard/actions", data=form, headers=headers)
    assert page.status_code == 303, page.text
    address = f"/api/actions/{page.headers['location'][-8:]}"
    tried = site.post(f"{address}/run", {"limit": 1})
    assert (tried["changed"], tried["state"]) == (1, "running")
    assert site.post(f"{address}/stop")["state"] == "stopped"
    assert site.post(f"{address}/run")["changed"] == 3
    assert site.get(address)["state"] == "finished"


def test_jobs_are_found_by_the_filter_language(site: Site, populated: Population) -> None:
    """`where` and the other parameters must all hold; an invalid filter is rejected."""
    found = site.get("/api/jobs", where="payload.url:https://shop.* status:failed", type="browser")["jobs"]
    assert [job["id"] for job in found] == [str(populated.dead)]
    answer = site.read("/api/jobs", where="finishd:1h")
    assert (answer.status_code, "finished:" in answer.json()["error"]) == (422, True)


def test_a_search_that_is_too_long_is_shown_to_be_corrected(site: Site) -> None:
    """With the message, and without an action on the part that was read."""
    page = site.read("/dashboard/jobs", q="x" * 600)
    assert page.status_code == 200
    assert "shorten it" in page.text
    assert f'value="{"x" * 600}"' in page.text
    assert 'class="bulk"' not in page.text


def test_a_search_is_completed(site: Site, populated: Population) -> None:
    """Qualifiers, then their values: of the language, and of the queue."""
    cookie = site.cookie()

    def suggested(typed: str) -> list[str]:
        headers = {"cookie": f"cogo_session={cookie}"}
        found = site.client.get("/dashboard/jobs/suggest", params={"q": typed}, headers=headers).json()
        return [one["text"] for one in found]

    assert suggested("type:browser sta") == ["type:browser status:"]
    assert suggested("status:failed,su") == ["status:failed,succeeded "]
    assert suggested("error:") == ["error:http_status ", "error:timeout "]
    assert suggested("-type:b") == ["-type:browser ", "-type:browser.pdf "]
    assert suggested("host:") == ["host:box "]
    assert suggested("executor:") == ["executor:mac-1 "]
    assert "finished:yesterday " in suggested("finished:")
    assert suggested("staus:failed") == ["status:failed"]
    assert suggested(f"action:{str(populated.action)[-8:-6]}") == [f"action:{str(populated.action)[-8:]} "]
    assert {text.rstrip(":.") for text in suggested("")} <= set(QUALIFIERS)
    assert suggested('"quoted ') == []
