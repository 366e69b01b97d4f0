"""Actions of the API and the dashboard: authorization, effects, and the operations log."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from cogo_dagster.links import dagster_run
from cogo_dagster.queue.bulk import Operation
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, look, running_job
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site
from cogo_dagster_tests.web.population import HTTP, TIMEOUT, Population, failing

ACTIONS: list[tuple[str, Json]] = [
    ("/api/jobs/{id}/cancel", None),
    ("/api/jobs/{id}/retry", None),
    ("/api/jobs", {"type": "browser", "payload": {"url": "https://example.com"}}),
    ("/api/jobs/retry", {"dry_run": False}),
    ("/api/dlq/{id}/replay", None),
    ("/api/dlq/replay", {"dry_run": False}),
    ("/api/dlq/{id}/discard", {"reason": "gone"}),
    ("/api/dlq/discard", {"reason": "gone", "dry_run": False}),
    ("/api/operations/{id}/undo", None),
    ("/api/alerts/silences", {"kind": "job_failed", "duration_seconds": 60}),
    ("/api/alerts/silences/{id}/end", None),
    ("/api/actions", {"operation": "retry", "where": "status:failed", "dry_run": False}),
    ("/api/actions/{id}/run", None),
    ("/api/actions/{id}/stop", None),
    ("/api/pause", {"kind": "type", "name": "browser"}),
    ("/api/resume", {"kind": "type", "name": "browser"}),
]

each_action = pytest.mark.parametrize(("path", "body"), ACTIONS, ids=[path for path, _ in ACTIONS])


@each_action
@pytest.mark.parametrize(
    "headers", [{}, {"x-admin-token": "wrong"}, {"x-admin-token": ""}, {"authorization": f"Bearer {TOKEN}"}]
)
def test_actions_need_a_token(site: Site, path: str, body: Json, headers: dict[str, str]) -> None:
    """Without a valid token, an action returns 401 and changes nothing."""
    job = failing(site.queue, TIMEOUT)
    answer = site.client.post(path.format(id=job), json=body, headers=headers)
    assert answer.status_code == 401
    assert (look(site.queue, job)["status"], site.queue.list_operations()) == ("failed", [])


@each_action
def test_actions_are_disabled_without_a_token_on_the_server(
    serve: Serve, settings: Settings, path: str, body: Json
) -> None:
    """While the server has no token, an action returns 403, whatever token is sent."""
    closed = settings.model_copy(update={"admin_token": None})
    with serve(settings=closed) as site:
        answer = site.client.post(path.format(id=add(site.queue)), json=body, headers=ADMIN)
    assert answer.status_code == 403
    assert "QUALITY_NOTIFY_ADMIN_TOKEN" in answer.json()["error"]


def test_wrong_tokens_are_rate_limited(site: Site) -> None:
    """The eleventh wrong token in a minute gets 429 with Retry-After; the valid token is never rate-limited."""
    wrong = [site.client.post("/api/dlq/replay", json={}, headers={"x-admin-token": str(n)}) for n in range(11)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429]
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 61
    assert site.client.post("/api/dlq/replay", json={}, headers=ADMIN).status_code == 200


def test_a_cancel_is_logged_once(site: Site) -> None:
    """A queued job is cancelled at once; the second request changes nothing and is not logged."""
    job = add(site.queue)
    assert site.post(f"/api/jobs/{job}/cancel")["status"] == "cancelled"
    assert site.post(f"/api/jobs/{job}/cancel")["status"] == "cancelled"
    [entry] = site.get("/api/operations")["operations"]
    assert (entry["operation"], entry["actor"], entry["filter"]["job_id"]) == ("cancel_job", "api:tester", str(job))


def test_cancelling_a_running_job_requests_cancellation(site: Site) -> None:
    """The job stays running, with `cancel_requested` set."""
    job = running_job(site.queue)
    answer = site.post(f"/api/jobs/{job.id}/cancel")
    assert (answer["status"], answer["cancel_requested"]) == ("running", True)


def test_a_finished_job_cannot_be_cancelled(site: Site) -> None:
    """Cancelling a failed job returns 409 with a message."""
    job = failing(site.queue, TIMEOUT)
    assert "cannot be cancelled" in site.post(f"/api/jobs/{job}/cancel", status=409)["error"]


def test_a_retry_requeues_the_job(site: Site) -> None:
    """The job keeps its id, with one more attempt allowed, or with the attempts reset."""
    first, second = failing(site.queue, TIMEOUT), failing(site.queue, TIMEOUT)
    assert site.post(f"/api/jobs/{first}/retry")["changed"] == 1
    assert site.post(f"/api/jobs/{second}/retry", {"reset_attempts": True})["changed"] == 1
    assert [(look(site.queue, job)["status"], look(site.queue, job)["attempts"]) for job in (first, second)] == [
        ("queued", 1),
        ("queued", 0),
    ]
    assert "only failed jobs can be retried" in site.post(f"/api/jobs/{first}/retry", status=409)["error"]


def test_a_bulk_replay_is_a_dry_run_by_default(site: Site) -> None:
    """The dry run counts and changes nothing; then exactly the jobs of the cause are replayed, once."""
    for _ in range(3):
        failing(site.queue, HTTP)
    failing(site.queue, TIMEOUT)
    [cause, _] = site.get("/api/dlq/incidents")["incidents"]
    preview = site.post("/api/dlq/replay", {"fingerprint": cause["fingerprint"]})
    assert (preview["dry_run"], preview["matched"], preview["changed"], len(preview["items"])) == (True, 3, 0, 3)
    assert site.queue.list_operations() == []
    done = site.post("/api/dlq/replay", {"fingerprint": cause["fingerprint"], "dry_run": False})
    assert (done["matched"], done["changed"]) == (3, 3)
    again = site.post("/api/dlq/replay", {"fingerprint": cause["fingerprint"], "dry_run": False})
    assert again["changed"] == 0
    assert site.get("/api/metrics/queue")["dlq_open"] == 1


def test_a_bulk_retry_respects_its_limit(site: Site) -> None:
    """With a limit of two, the two oldest of three failures are retried."""
    jobs = [failing(site.queue, TIMEOUT) for _ in range(3)]
    assert site.post("/api/jobs/retry", {"limit": 2, "dry_run": False})["changed"] == 2
    assert [look(site.queue, job)["status"] for job in jobs] == ["queued", "queued", "failed"]


def test_a_purged_job_that_is_still_dead_lettered_is_not_lost(site: Site) -> None:
    """The links of its alert and of the dead-letter queue say what can be done with it, until it was replayed."""
    job = failing(site.queue, HTTP)
    site.queue.operate("purge_jobs", {"statuses": ["failed"], "older_than_days": 0, "dry_run": False})
    for address in (f"/dashboard/jobs/{job}", f"/api/jobs/{job}"):
        answer = site.read(address)
        assert (answer.status_code, "still dead-lettered" in answer.text) == (404, True)
    site.post("/api/dlq/replay", {"dry_run": False})
    assert "It may have been purged" in site.read(f"/api/jobs/{job}").text


def test_an_action_that_changes_nothing_says_so(site: Site) -> None:
    """A second operator paused, resumed, ended or undid the same before."""
    failing(site.queue, HTTP)
    site.application.alerts.evaluate()
    discard = site.post("/api/dlq/discard", {"dry_run": False, "reason": "gone"})["operation_id"]
    silence = site.post("/api/alerts/silences", {"kind": "job_failed", "duration_seconds": 60})["silence_id"]
    cookie = f"cogo_session={site.cookie()}"
    pause = {"kind": "type", "name": "browser"}

    def flash(address: str, form: dict[str, str]) -> str:
        headers = {"origin": site.url, "cookie": cookie}
        answer = site.client.post(f"/dashboard/{address}", data=form, headers=headers)
        page = site.client.get(answer.headers["location"], headers=headers).text
        [message] = re.findall(r'id="flash">.*?</svg>(.*?)</p>', page, re.DOTALL)
        return str(message)

    for address, form, first, second in (
        ("pause", pause, "Paused.", "It was already paused"),
        ("resume", pause, "Resumed.", "It was not paused"),
        (f"alerts/silences/{silence}/end", {}, "Silence ended.", "had already ended"),
        (f"log/{discard}/undo", {}, "opened again: 1", "Nothing was undone"),
    ):
        assert first in flash(address, form)
        assert second in flash(address, form)


def test_pause_and_resume_are_logged_once(site: Site) -> None:
    """A repeated pause or resume changes nothing and is not logged."""
    what = {"kind": "type", "name": "browser"}
    assert [site.post("/api/pause", what | {"reason": "night"})["changed"] for _ in range(2)] == [True, False]
    assert [site.post("/api/resume", what)["changed"] for _ in range(2)] == [True, False]
    assert [one["operation"] for one in site.get("/api/operations")["operations"]] == ["resume", "pause"]


@pytest.mark.parametrize(("name", "known"), [("browser.pdf", True), ("browser.s", False)])
def test_types_of_installed_executors_are_known_before_their_first_job(site: Site, name: str, *, known: bool) -> None:
    """A pause of one raises no suspicion of a misspelling, on the empty queue too."""
    assert site.post("/api/pause", {"kind": "type", "name": name})["known"] is known


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/pause", {"kind": "type", "name": "Not A Type"}),
        ("/api/pause", {"kind": "planet", "name": "x"}),
        ("/api/jobs/retry", {"limit": 0}),
        ("/api/jobs/retry", {"limit": True}),
        ("/api/jobs/retry", {"since_seconds": True}),
        ("/api/jobs/retry", {"unknown": 1}),
        ("/api/dlq/replay", {"job_ids": ["x"]}),
        ("/api/dlq/discard", {"reason": ""}),
        ("/api/dlq/discard", {}),
        ("/api/alerts/silences", {"kind": "job_failed"}),
        ("/api/alerts/silences", {"duration_seconds": 60}),
        ("/api/dlq/replay", {"fingerprint": "a\u0000b"}),
    ],
)
def test_invalid_input_is_rejected_with_a_message(site: Site, path: str, body: Json) -> None:
    """Invalid input returns 422 with a one-line message."""
    message = site.post(path, body, status=422)["error"]
    assert message.endswith((".", "…"))
    assert "\n" not in message


@pytest.mark.parametrize("value", [{"duration_seconds": 0}, {"duration_seconds": "x"}, {"until": "tomorrow"}])
def test_a_message_names_the_key_alone(site: Site, value: dict[str, Json]) -> None:
    """It does not name types of pydantic."""
    message = site.post("/api/alerts/silences", {"kind": "job_failed"} | value, status=422)["error"]
    assert message.startswith(f"Invalid {next(iter(value))}: ")


def test_a_form_of_another_site_is_rejected(site: Site) -> None:
    """A session is not enough: the form must come from the same origin."""
    token = {"token": TOKEN, "name": "Anna"}
    own = {"origin": site.url}
    with httpx.Client(base_url=site.url) as browser:
        assert (
            browser.post("/dashboard/login", data=token, headers={"origin": "http://evil.example"}).status_code == 403
        )
        assert browser.post("/dashboard/login", data=token).status_code == 403
        answer = browser.post("/dashboard/login", data=token, headers=own)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        job = add(site.queue)
        path = f"/dashboard/jobs/{job}/cancel"
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}):
            assert browser.post(path, headers=headers).status_code == 403
        assert look(site.queue, job)["status"] == "queued"
        assert browser.post(path, headers=own).status_code == 303
    assert look(site.queue, job)["status"] == "cancelled"
    assert site.queue.list_operations()[0].document["actor"] == "web:Anna"


def test_a_session_ends_with_its_token(serve: Serve, settings: Settings) -> None:
    """A session of the admin token ends when the token is changed; a modified cookie is invalid."""
    with serve() as site:
        answer = site.client.post("/dashboard/login", data={"token": TOKEN}, headers={"origin": site.url})
        cookie = answer.cookies["cogo_session"]
    for changed, value in (
        (SecretStr("f" * 64), cookie),
        (settings.admin_token, f"9{cookie}"),
        (settings.admin_token, "x"),
    ):
        with serve(settings=settings.model_copy(update={"admin_token": changed})) as site:
            site.client.cookies.set("cogo_session", value)
            answer = site.client.post(f"/dashboard/jobs/{add(site.queue)}/cancel", headers={"origin": site.url})
            assert answer.headers["location"].startswith("/dashboard/login")


def test_the_log_links_to_the_dagster_run_that_acted(site: Site) -> None:
    """An operation of a Dagster run leads to the run; one of a person shows the name only."""
    run = "2a0e8a3c-7d3c-4b0e-9a4e-0c54d1f4a001"
    jobs = [str(failing(site.queue, HTTP)) for _ in range(2)]
    for job, actor in zip(jobs, (f"Dagster run {run}", "Dagster run of Anna"), strict=True):
        site.application.perform(Operation("retry_failed", {"job_ids": [job]}), actor)
    page = site.read("/dashboard/log").text
    assert re.findall(r'class="who">(.*?)</span>', page, re.DOTALL) == [
        "Dagster run of Anna",
        f'<a href="{dagster_run(site.application.settings, run)}">Dagster run {run[-8:]}</a>',
    ]


def test_the_error_of_a_retried_job_is_called_that_of_its_last_attempt(site: Site) -> None:
    """In the list and on the job's page, until the job has ended again."""
    job = failing(site.queue, HTTP)
    pages = ("/dashboard/jobs", f"/dashboard/jobs/{job}")
    error = re.compile(r"last attempt:\s*<b>http_status</b>", re.IGNORECASE)
    assert [bool(error.search(site.read(page).text)) for page in pages] == [False, False]
    site.post(f"/api/jobs/{job}/retry")
    assert [bool(error.search(site.read(page).text)) for page in pages] == [True, True]


def test_a_week_is_announced_once(site: Site, owner: Owner) -> None:
    """Repeated requests announce a week once; the alerts list it, with a delivery to every target."""
    owner.execute(
        "insert into public.alert_targets (target, first_seen_at, last_seen_at) values ('slack', now(), now())"
    )
    first, second = site.post("/api/notify/weekly"), site.post("/api/notify/weekly")
    assert (first["created"], second["created"], first["week"]) == (True, False, second["week"])
    assert first["targets"] == ["slack"]
    assert [
        (one.document["operation"], one.document["actor"], one.document["filter"]["created"])
        for one in site.queue.list_operations()
    ] == [
        ("notify_weekly", "api:tester", False),
        ("notify_weekly", "api:tester", True),
    ]
    [alert] = site.get("/api/alerts")["alerts"]
    assert (alert["kind"], alert["subject"], alert["status"]) == ("weekly", f"weekly:{first['week']}", "announced")
    assert [one["target"] for one in alert["deliveries"]] == ["slack"]
    assert site.post("/api/notify/weekly?week=2090-W01", status=404)["error"].endswith("has not begun.")


def test_announcing_a_week_needs_a_token(site: Site) -> None:
    """Without a token, the request returns 401 and announces nothing."""
    assert site.client.post("/api/notify/weekly").status_code == 401
    assert site.get("/api/alerts")["alerts"] == []


def test_a_discard_closes_a_cause_and_can_be_undone(site: Site, populated: Population) -> None:
    """It is a dry run by default; one job can be discarded too, and the log has the reason."""
    [cause, *_] = site.get("/api/dlq/incidents")["incidents"]
    what = {"fingerprint": cause["fingerprint"], "reason": "the shop is closed"}
    assert site.post("/api/dlq/discard", what)["matched"] == cause["count"]
    done = site.post("/api/dlq/discard", what | {"dry_run": False})
    assert done["changed"] == cause["count"]
    [entry, *_] = site.get("/api/operations")["operations"]
    assert (entry["id"], entry["filter"]["reason"]) == (done["operation_id"], "the shop is closed")
    assert site.get("/api/metrics/queue")["dlq_open"] == 5 - cause["count"]
    assert site.post(f"/api/operations/{entry['id']}/undo")["changed"] == cause["count"]
    assert site.post(f"/api/dlq/{populated.dead}/discard", {"reason": "once"})["changed"] == 1
    assert "was discarded" in site.get(f"/api/jobs/{populated.dead}")["why"]


def test_a_silence_ends_at_its_time_or_early(site: Site) -> None:
    """By duration or by time of its end; the list shows who silenced what."""
    until = (datetime.now(UTC) + timedelta(hours=9)).isoformat()
    for what in ({"kind": "job_failed", "duration_seconds": 7200}, {"subject_prefix": "browser", "until": until}):
        site.post("/api/alerts/silences", what)
    later, sooner = site.get("/api/alerts/silences")["silences"]
    assert (later["subject_prefix"], sooner["kind"]) == ("browser", "job_failed")
    assert datetime.fromisoformat(later["ends_at"]) > datetime.now(UTC) + timedelta(hours=8)
    site.post("/api/alerts/silences", {"kind": "job_failed", "until": "2020-01-01T00:00:00"}, status=409)
    assert site.post(f"/api/alerts/silences/{later['id']}/end")["changed"] is True
    assert [silence["id"] for silence in site.get("/api/alerts/silences")["silences"]] == [sooner["id"]]


def test_an_error_page_has_its_own_title_and_keeps_the_session(site: Site) -> None:
    """Commands in the message are code, and the user is still shown as logged in."""
    with httpx.Client(base_url=site.url, cookies={"cogo_session": site.cookie("Anna")}) as client:
        missing = client.get("/dashboard/jobs/0123456789abcdef")
        invalid = client.get("/dashboard/history?range=1y")
    assert (missing.status_code, invalid.status_code) == (404, 422)
    assert "<title>Not found · COGO</title>" in missing.text
    assert "<title>Invalid request · COGO</title>" in invalid.text
    assert "<code>cogo list jobs</code>" in missing.text
    assert all('aria-label="Log out"' in answer.text for answer in (missing, invalid))
