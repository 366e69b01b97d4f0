"""New jobs: `POST /api/jobs`, the form of each type, running a job again, and running it with changes."""

import json
import re
import shlex
from html import unescape
from uuid import UUID

import httpx
import pytest

from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add, look
from cogo_dagster_tests.web.conftest import ADMIN, Serve, Site, tokens_of

URL = "https://example.com/"


def enter(site: Site, path: str = "/dashboard/jobs/new", *, token: str | None = None, **fields: str) -> httpx.Response:
    """Send a form of the dashboard with a session."""
    with httpx.Client(base_url=site.url, cookies={"cogo_session": site.cookie("Anna", token)}, timeout=30) as client:
        return client.post(path, data=fields, headers={"origin": site.url})


def added(answer: httpx.Response, site: Site) -> Json:
    """Return the job that a form has added."""
    assert answer.status_code == 303, answer.text
    found = re.fullmatch(r"/dashboard/jobs/([0-9a-f-]{36})\?did=enqueued", answer.headers["location"])
    assert found
    return look(site.queue, UUID(found[1]))


def test_the_api_enqueues_a_job_once_per_key(site: Site) -> None:
    """The job has the options that were sent; the same key returns it again, and the log has one entry."""
    body = {
        "type": "browser.pdf",
        "payload": {"url": URL},
        "executor_id": "mac-1",
        "priority": 0,
        "max_attempts": 2,
        "run_in_seconds": 60,
        "timeout_seconds": 30.5,
        "idempotency_key": "once",
    }
    first: Json = site.post("/api/jobs", body)
    assert first["created"] is True
    assert site.post("/api/jobs", body) == {"job_id": first["job_id"], "created": False}
    job = look(site.queue, UUID(first["job_id"]))
    kept = {name: job[name] for name in ("type", "executor_id", "priority", "max_attempts", "timeout_seconds")}
    assert kept == {name: body[name] for name in kept}
    assert job["payload"] == {"url": URL}
    [entry] = site.get("/api/operations")["operations"]
    assert (entry["operation"], entry["actor"], entry["filter"]["job_id"]) == ("enqueue", "api:tester", first["job_id"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"type": "browser", "payload": {}}, "The payload has no url."),
        ({"type": "browser", "payload": {"url": "ftp://x"}}, "url: must start with http:// or https://"),
        ({"type": "browser", "payload": {"url": "http://127.0.0.1/"}}, "127.0.0.1"),
        ({"type": "unknown", "payload": {}}, "No executor is installed for jobs of type 'unknown'"),
        ({"type": "browser", "payload": {"url": URL}, "priority": 10}, "priority"),
        ({"type": "browser", "payload": {"url": URL + "\0"}}, "U+0000"),
        ({"type": "browser", "payload": {"url": URL}, "prority": 1}, "prority"),
        ({"payload": {}}, "type"),
    ],
)
def test_the_api_rejects_what_no_worker_could_run(site: Site, body: Json, message: str) -> None:
    """422 with a message that says what to correct; no job is added."""
    assert message in site.post("/api/jobs", body, status=422)["error"]
    assert site.queue.list_jobs() == []


def test_a_dry_run_validates_a_job_and_adds_none(site: Site) -> None:
    """Its errors are those of the request; a misspelt or misplaced option never adds a job."""
    body = {"type": "browser", "payload": {"url": URL}, "idempotency_key": "k"}
    assert site.post("/api/jobs", {**body, "dry_run": True}) == {"job_id": None, "created": False}
    assert "no url" in site.post("/api/jobs", {**body, "payload": {}, "dry_run": True}, status=422)["error"]
    assert "dry_run is unknown" in site.post("/api/jobs?dry_run=true", body, status=422)["error"]
    assert "dryrun is unknown" in site.post("/api/jobs", {**body, "dryrun": True}, status=422)["error"]
    assert site.queue.list_jobs() == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 422, "The body must be JSON in UTF-8."),
        (b'{"type": "browser\xff"}', "application/json", 422, "The body must be JSON in UTF-8."),
        (
            b"[]",
            "application/json",
            422,
            "The body must be a JSON object, sent with the content type application/json.",
        ),
        (b'{"type": "browser"}', "text/plain", 422, "The body must be a JSON object, sent with the content type"),
        (b'{"payload": {}}', "application/json", 422, "The field type is required."),
        (b" " * 2_000_001, "application/json", 413, "The request body exceeds 2,000,000 bytes: send a shorter one."),
    ],
)
def test_a_body_that_is_no_job_gets_one_message(
    site: Site, content: bytes, kind: str, status: int, message: str
) -> None:
    """Every error is a JSON document with a message that says what to send, also before the body is read."""
    answer = site.client.post("/api/jobs", content=content, headers={**ADMIN, "content-type": kind})
    assert (answer.status_code, answer.json()["error"][: len(message)]) == (status, message)


def test_a_body_of_unknown_length_is_too_long_too(site: Site) -> None:
    """Without Content-Length, the body is cut off at the limit, with the same response."""
    chunks = (b" " * 1_000_000 for _ in range(3))
    answer = site.client.post("/api/jobs", content=chunks, headers={**ADMIN, "content-type": "application/json"})
    assert answer.status_code == 413
    assert "exceeds 2,000,000 bytes" in answer.json()["error"]


def test_an_error_of_the_api_is_json_under_an_unknown_host_name(site: Site) -> None:
    """A client that parses every response as JSON reads why its request was rejected."""
    answer = site.client.get("/api/jobs", headers={**ADMIN, "host": "elsewhere.example"})
    assert (answer.status_code, list(answer.json())) == (421, ["error"])


def test_a_form_shows_the_command_of_a_valid_job(site: Site) -> None:
    """The fields are validated and stay, the command and the request enqueue the job, and nothing is enqueued."""
    fields = {
        "type": "browser",
        "payload.url": URL,
        "payload.screenshot": "yes",
        "payload.html": "yes",
        "priority": "0",
    }
    answer = enter(site, show="yes", **fields)
    assert answer.status_code == 200
    shown = dict(re.findall(r'<pre tabindex="0" id="copy-(\w+)">(.*?)</pre>', answer.text, re.DOTALL))
    assert shlex.split(unescape(shown["command"])) == [
        *("cogo", "enqueue", "browser", "--payload", json.dumps({"url": URL}), "--priority", "0")
    ]
    sent = json.loads(shlex.split(unescape(shown["curl"]))[-1])
    assert sent == {"type": "browser", "payload": {"url": URL}, "priority": 0}
    assert f'value="{URL}"' in answer.text
    assert enter(site, show="yes", **(fields | {"payload.url": "x"})).status_code == 422
    assert site.queue.list_jobs() == []
    assert site.post("/api/jobs", sent)["created"] is True


def test_a_key_of_another_payload_is_a_conflict(site: Site) -> None:
    """409, and no second job."""
    body = {"type": "browser", "payload": {"url": URL}, "idempotency_key": "k"}
    site.post("/api/jobs", body)
    site.post("/api/jobs", {**body, "payload": {"url": URL + "other"}}, status=409)
    assert len(site.queue.list_jobs()) == 1


def test_a_form_enqueues_a_job(site: Site) -> None:
    """Fields that were left empty are not part of the payload."""
    fields = {"type": "browser", "payload.url": URL, "payload.screenshot": "yes", "payload.timeout_ms": "5000"}
    job = added(enter(site, **fields, priority="0"), site)
    assert job["payload"] == {"url": URL, "timeout_ms": 5000, "html": False}
    assert (job["type"], job["priority"], job["max_attempts"]) == ("browser", 0, 5)


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"payload.url": ""}, "payload.url", "is required"),
        ({"payload.url": "example.com"}, "payload.url", "must start with http"),
        ({"payload.url": "http://10.0.0.1/"}, "payload.url", "10.0.0.1"),
        ({"payload.url": URL, "payload.actions": "[{]"}, "payload.actions", "is not JSON"),
        ({"payload.url": URL, "payload.actions": '[{"do": "click"}]'}, "payload.actions", "0.click.selector"),
        ({"payload.url": URL, "payload.timeout_ms": "soon"}, "payload.timeout_ms", "must be a whole number"),
        ({"payload.url": URL, "priority": "10"}, "priority", "less than or equal to 9"),
        ({"payload.url": URL, "run_in_seconds": "-1"}, "run_in_seconds", "greater than or equal to 0"),
    ],
)
def test_a_form_shows_an_error_beside_its_field(site: Site, fields: dict[str, str], place: str, message: str) -> None:
    """422; what was entered stays, and nothing is enqueued."""
    answer = enter(site, type="browser", **fields)
    assert answer.status_code == 422
    shown = re.search(rf'<p class="error" id="e-{re.escape(place)}">(.*?)</p>', answer.text, re.DOTALL)
    assert shown, answer.text[:200]
    assert message in shown[1]
    assert 'aria-invalid="true"' in answer.text
    assert [value for value in fields.values() if value.isalnum() and value not in answer.text] == []
    assert site.queue.list_jobs() == []


def test_a_job_runs_again_as_a_new_job(site: Site) -> None:
    """The copy has the payload and the options, but neither the idempotency key nor the delay."""
    first = add(site.queue, "browser", payload={"url": URL}, idempotency_key="k", priority=2, executor_id="mac-1")
    job = added(enter(site, f"/dashboard/jobs/{first}/again"), site)
    assert job["id"] != str(first)
    kept = ("type", "payload", "priority", "executor_id")
    assert [job[name] for name in kept] == [look(site.queue, first)[name] for name in kept]
    assert job["idempotency_key"] is None


def test_a_job_of_another_package_runs_again(site: Site) -> None:
    """A type without an executor on this server is copied without validation."""
    first = add(site.queue, "elsewhere", payload={"n": 1})
    assert added(enter(site, f"/dashboard/jobs/{first}/again"), site)["payload"] == {"n": 1}


def test_an_unreadable_payload_is_not_run_again(site: Site, owner: Owner) -> None:
    """The placeholder for a payload that cannot be read is not enqueued as a payload."""
    first = add(site.queue, "elsewhere", payload={"n": 1})
    owner.execute("update public.jobs set payload = %s::jsonb where id = %s", ["[" * 150 + "]" * 150, first])
    assert enter(site, f"/dashboard/jobs/{first}/again").status_code == 422
    assert len(site.queue.list_jobs()) == 1


def test_a_form_is_filled_from_a_job(site: Site) -> None:
    """Its values are in the fields, also those that are not part of the payload."""
    first = add(site.queue, "browser", payload={"url": URL + "a", "scroll": True}, max_attempts=7)
    page = site.read("/dashboard/jobs/new", **{"from": str(first)}).text
    assert f'value="{URL}a"' in page
    assert re.search(r'name="payload.scroll" value="yes"[^>]* checked', page)
    assert re.search(r'name="max_attempts"[^>]* value="7"', page)


def test_a_payload_without_a_form_is_entered_as_json(site: Site) -> None:
    """A type that is not installed here, and a payload with an unknown key, are shown whole."""
    first = add(site.queue, "browser", payload={"url": URL, "colour": "red"})
    page = site.read("/dashboard/jobs/new", **{"from": str(first)}).text
    assert "&#34;colour&#34;: &#34;red&#34;" in page
    answer = enter(site, type="browser", as_json="yes", **{"payload.payload": '{"url": "x", "colour": 1}'})
    assert answer.status_code == 422
    assert "colour is unknown" in answer.text
    assert "No executor is installed" in enter(site, type="elsewhere", **{"payload.payload": "{}"}).text
    good = enter(site, type="browser", as_json="yes", **{"payload.payload": f'{{"url": "{URL}"}}'})
    assert added(good, site)["payload"] == {"url": URL}


def test_a_form_needs_the_role_operator_and_this_origin(serve: Serve) -> None:
    """A viewer and a form of another site get 403, and add nothing."""
    with serve() as site:
        viewer, _ = tokens_of(site).create("reader", "viewer", actor="test")
        assert enter(site, type="browser", token=viewer, **{"payload.url": URL}).status_code == 403
        with httpx.Client(base_url=site.url, cookies={"cogo_session": site.cookie()}) as client:
            form = {"type": "browser", "payload.url": URL}
            assert client.post("/dashboard/jobs/new", data=form, headers={"origin": "https://evil"}).status_code == 403
        assert site.queue.list_jobs() == []
