"""Access control: the status that every route returns for every kind of client."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Literal
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from cogo_dagster.quality.api import MetricsApi
from cogo_dagster.queue.model import JobError
from cogo_dagster.settings import Settings
from cogo_dagster.vault.access_tokens import ROLES
from cogo_dagster.web import access
from cogo_dagster.web.app import access_rules, create_app, require_rules
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.held import held, report_at_once
from cogo_dagster_tests.web.conftest import ADMIN, Serve, Site, tokens_of
from cogo_dagster_tests.web.population import failing

Rule = Literal["open", "metrics", "viewer", "operator", "admin"]

# The rule of each route, and the status for a client that is allowed, with an unknown id.
ROUTES: dict[str, tuple[Rule, int]] = {
    "GET /": ("open", 307),
    "GET /dashboard": ("open", 307),
    "GET /healthz": ("open", 200),
    "GET /readyz": ("open", 200),
    "GET /metrics": ("metrics", 200),
    "GET /static": ("open", 307),
    "GET /traces": ("open", 307),
    "GET /api/openapi.json": ("open", 200),
    "HEAD /api/openapi.json": ("open", 200),
    "GET /api/metrics/quality/gate/recent": ("open", 200),
    "GET /api/metrics/gate/summary": ("open", 200),
    "GET /api/metrics/weekly/summary": ("open", 200),
    "GET /api/metrics/queue": ("viewer", 200),
    "GET /api/metrics/queue/reasons": ("viewer", 200),
    "GET /api/metrics/jobs/counts": ("viewer", 200),
    "GET /api/metrics/jobs/history": ("viewer", 200),
    "GET /api/jobs": ("viewer", 200),
    "GET /api/jobs/{job_id}": ("viewer", 404),
    "GET /api/jobs/{job_id}/attempts": ("viewer", 404),
    "GET /api/jobs/{job_id}/payload": ("viewer", 404),
    "GET /api/jobs/{job_id}/result": ("viewer", 404),
    "POST /api/jobs": ("operator", 422),
    "POST /api/jobs/retry": ("operator", 200),
    "POST /api/jobs/{job_id}/retry": ("operator", 404),
    "POST /api/jobs/{job_id}/cancel": ("operator", 404),
    "POST /api/actions": ("operator", 422),
    "GET /api/actions": ("viewer", 200),
    "GET /api/actions/{action_id}": ("viewer", 404),
    "POST /api/actions/{action_id}/run": ("operator", 404),
    "POST /api/actions/{action_id}/stop": ("operator", 404),
    "GET /api/dlq": ("viewer", 200),
    "GET /api/dlq/incidents": ("viewer", 200),
    "POST /api/dlq/replay": ("operator", 200),
    "POST /api/dlq/{job_id}/replay": ("operator", 404),
    "GET /api/alerts/silences": ("viewer", 200),
    "POST /api/alerts/silences": ("operator", 422),
    "POST /api/alerts/silences/{silence_id}/end": ("operator", 200),
    "GET /dashboard/alerts/silence": ("viewer", 422),
    "POST /dashboard/alerts/silence": ("operator", 422),
    "POST /dashboard/alerts/silences/{silence_id}/end": ("operator", 303),
    "POST /api/dlq/discard": ("operator", 422),
    "POST /api/dlq/{job_id}/discard": ("operator", 422),
    "POST /api/operations/{operation_id}/undo": ("operator", 404),
    "GET /api/artifacts": ("viewer", 200),
    "GET /api/artifacts/{artifact_id}": ("viewer", 404),
    "GET /api/artifacts/{artifact_id}/content": ("viewer", 404),
    "GET /api/workers": ("viewer", 200),
    "GET /api/operations": ("viewer", 200),
    "GET /api/alerts": ("viewer", 200),
    "GET /api/alerts/targets": ("viewer", 200),
    "POST /api/notify/weekly": ("operator", 200),
    "POST /api/pause": ("operator", 422),
    "POST /api/resume": ("operator", 422),
    "GET /api/tokens": ("admin", 200),
    "POST /api/tokens": ("admin", 422),
    "POST /api/tokens/{name}/revoke": ("admin", 200),
    "GET /dashboard/local": ("open", 200),
    "GET /dashboard/login": ("open", 200),
    "POST /dashboard/login": ("open", 401),
    "POST /dashboard/logout": ("open", 303),
    "GET /dashboard/jobs": ("viewer", 200),
    "GET /dashboard/jobs/new": ("viewer", 200),
    "POST /dashboard/jobs/new": ("operator", 422),
    "POST /dashboard/jobs/{job_id}/again": ("operator", 404),
    "GET /dashboard/jobs/{job_id}": ("viewer", 404),
    "GET /dashboard/jobs/suggest": ("viewer", 200),
    "GET /dashboard/pause": ("viewer", 200),
    "POST /dashboard/actions": ("operator", 422),
    "GET /dashboard/actions": ("viewer", 200),
    "GET /dashboard/actions/{part}": ("viewer", 404),
    "POST /dashboard/actions/{action_id}/run": ("operator", 404),
    "POST /dashboard/actions/{action_id}/stop": ("operator", 404),
    "GET /dashboard/dlq": ("viewer", 200),
    "GET /dashboard/workers": ("viewer", 200),
    "GET /dashboard/gate": ("viewer", 200),
    "GET /dashboard/gate/{gate_run_id}": ("viewer", 404),
    "GET /dashboard/weeks": ("viewer", 200),
    "GET /dashboard/history": ("viewer", 200),
    "GET /dashboard/alerts": ("viewer", 200),
    "GET /dashboard/log": ("viewer", 200),
    "GET /dashboard/live": ("viewer", 200),
    "POST /dashboard/notify/weekly": ("operator", 303),
    "POST /dashboard/jobs/{job_id}/cancel": ("operator", 404),
    "POST /dashboard/jobs/{job_id}/retry": ("operator", 404),
    "POST /dashboard/jobs/{job_id}/replay": ("operator", 404),
    "POST /dashboard/log/{operation_id}/undo": ("operator", 404),
    "POST /dashboard/pause": ("operator", 422),
    "POST /dashboard/resume": ("operator", 422),
}

LOGIN = "login"
"""Not a status: a redirect to the login page."""


@dataclass(frozen=True)
class Client:
    """A client of the server.

    Attributes:
        role: Role of the token or session; None for none.
        cookie: Session cookie, for a client without a token.
    """

    headers: dict[str, str]
    role: Rule | None = None
    cookie: str | None = None

    def expected(self, route: str) -> int | str:
        """Return the status that this client should get for a route."""
        method, _, path = route.partition(" ")
        rule, allowed = ROUTES[route]
        page = path.startswith("/dashboard")
        if rule == "open":
            return allowed
        # Forms need a session; actions of the API need a token, since browsers send cookies by themselves.
        sent = self.cookie if page and method == "POST" else self.headers if method == "POST" else True
        if self.role is None or not sent:
            return LOGIN if page else 401
        ranks = ("viewer", "operator", "admin")
        needed = "viewer" if rule == "metrics" else rule
        return allowed if ranks.index(self.role) >= ranks.index(needed) else 403


@pytest.fixture
def no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off the rate limit on wrong tokens."""
    monkeypatch.setattr(access, "_MAX_FAILURES", 1_000_000)


@pytest.fixture
def clients(site: Site, owner: Owner) -> dict[str, Client]:
    """Return all kinds of clients; expired and revoked tokens and sessions were valid before."""
    tokens = tokens_of(site)
    made = {role: tokens.create(role, role)[0] for role in ROLES}
    expired, revoked = tokens.create("late", "admin", expires_in_seconds=60)[0], tokens.create("gone", "admin")[0]
    session_of_revoked, session_of_expired = site.cookie(token=revoked), site.cookie(token=expired)
    logged_out = site.cookie()
    log_out(site, logged_out)
    tokens.revoke("gone")
    owner.execute("update public.access_tokens set expires_at = now() - interval '1 s' where name = 'late'")
    by_token = {role: Client({"x-admin-token": token}, role) for role, token in made.items()}
    by_session = {f"session of the {role}": Client({}, role, site.cookie(token=token)) for role, token in made.items()}
    return {
        "no token": Client({}),
        "wrong token": Client({"x-admin-token": "0" * 64}),
        "wrong named token": Client({"x-admin-token": "cogo_" + "A" * 43}),
        "expired token": Client({"x-admin-token": expired}),
        "revoked token": Client({"x-admin-token": revoked}),
        **by_token,
        "admin token": Client(ADMIN, "admin"),
        "session": Client({}, "admin", site.cookie()),
        **by_session,
        "session that was logged out": Client({}, None, logged_out),
        "session of the revoked token": Client({}, None, session_of_revoked),
        "session of the expired token": Client({}, None, session_of_expired),
        "forged session": Client({}, None, "A" * 43),
    }


def log_out(site: Site, cookie: str) -> None:
    """Log out a browser with this cookie."""
    with httpx.Client(base_url=site.url, cookies={"cogo_session": cookie}) as browser:
        assert browser.post("/dashboard/logout", headers={"origin": site.url}).status_code == 303


def seen(connection: HTTPConnection, origin: str, route: str, client: Client) -> int | str:
    """Send a request; return its status, or LOGIN for a redirect to the login page.

    Not by httpx, which takes as long as the server, for more than a thousand requests.
    """
    method, _, path = route.partition(" ")
    for name in ("job_id", "artifact_id", "operation_id", "silence_id", "gate_run_id", "action_id", "part"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    path = path.replace("{name}", "unknown")
    page = path.startswith("/dashboard")
    kind, body = ("application/x-www-form-urlencoded", "token=") if page else ("application/json", "{}")
    given = method == "POST" and not path.endswith(("cancel", "weekly", "revoke"))
    cookies = {"cookie": f"cogo_session={client.cookie}"} if client.cookie else {}
    headers = (
        client.headers | cookies | ({"origin": origin} if page else {}) | ({"content-type": kind} if given else {})
    )
    connection.request(method, path, body if given else None, headers)
    answer = connection.getresponse()
    led = answer.getheader("location") or ""
    if answer.getheader("content-type", "").startswith("text/event-stream"):
        connection.close()  # it has no end; the next request connects again
    else:
        answer.read()
    return LOGIN if led.startswith("/dashboard/login") else answer.status


EVERYWHERE = {
    *("no token", "wrong token", "forged session"),
    *(kind for role in ROLES for kind in (role, f"session of the {role}")),
}
"""The clients of every route: one per role and way to send it. The others differ in how their role is found, which
does not depend on the route but on its rule."""


def routes_of(name: str) -> list[str]:
    """Return the routes that a client calls: all, or one for each rule, method, and kind of document."""
    # The logout ends the sessions.
    routes = sorted(ROUTES, key=lambda route: route == "POST /dashboard/logout")
    if name in EVERYWHERE:
        return routes
    samples = {(ROUTES[route][0], route.split()[0], "/dashboard" in route): route for route in reversed(routes)}
    return list(samples.values())


@pytest.mark.usefixtures("no_rate_limit")
def test_every_route_applies_its_rule_to_every_client(site: Site, clients: dict[str, Client]) -> None:
    """Each route with one client per role, and a route of each rule with each client, returns the expected status."""
    assert clients.keys() > EVERYWHERE
    connection = HTTPConnection(site.url.removeprefix("http://"), timeout=30)
    wrong = {
        (route, name): (status, client.expected(route))
        for name, client in clients.items()
        for route in routes_of(name)
        if (status := seen(connection, site.url, route, client)) != client.expected(route)
    }
    connection.close()
    assert wrong == {}


def test_every_route_is_listed(settings: Settings) -> None:
    """The table above lists exactly the routes of the application, with their rules."""
    decided = {route: {rule} for route, (rule, _) in ROUTES.items()}
    assert dict(access_rules(create_app(settings))) == decided


def test_a_route_without_a_rule_is_rejected(settings: Settings) -> None:
    """`require_rules` raises for a route without an access rule."""

    def everything() -> None:
        """Return nothing."""

    app = create_app(settings)
    app.add_api_route("/api/everything", everything)
    with pytest.raises(RuntimeError, match="GET /api/everything"):
        require_rules(app)


def test_metrics_accept_a_bearer_token(site: Site) -> None:
    """/metrics accepts a bearer token, as Prometheus sends it; other routes do not."""
    token, _ = tokens_of(site).create("prometheus", "viewer")
    for sent, status in ((f"Bearer {token}", 200), ("Bearer wrong", 401), (f"Basic {token}", 401), ("Bearer", 401)):
        assert site.client.get("/metrics", headers={"authorization": sent}).status_code == status, sent
    assert site.client.get("/api/jobs", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_metrics_are_public_if_the_settings_say_so(serve: Serve, settings: Settings) -> None:
    """COGO_METRICS_OPEN opens /metrics and no other route."""
    with serve(settings=settings.model_copy(update={"metrics_open": True})) as site:
        assert site.client.get("/metrics").status_code == 200
        for path in ("/api/metrics/queue", "/api/jobs"):
            assert site.client.get(path).status_code == 401


def test_readiness_has_no_details_without_a_token(site: Site) -> None:
    """Without a token, or with a wrong one, /readyz returns the status only; with one, also release and targets."""
    assert site.client.get("/readyz").json() == {"status": "ok"}
    assert site.client.get("/readyz", headers={"x-admin-token": "wrong"}).json() == {"status": "ok"}
    assert site.get("/readyz").keys() == {"status", "release", "deployment_id", "unreachable_targets"}


def test_readiness_and_metrics_name_a_held_snapshot(site: Site, dsn: str, owner: Owner) -> None:
    """Those who may read learn the session and the remedy; the server stays ready."""
    report_at_once(owner)
    with held(dsn) as pid:
        assert site.client.get("/readyz").json() == {"status": "ok"}
        detail = site.get("/readyz")
        lines = site.client.get("/metrics", headers=ADMIN).text.splitlines()
    assert f"pg_terminate_backend({pid})" in detail["held_snapshot"]
    labels = f'kind="session",name="",pid="{pid}"'
    assert [line for line in lines if line.startswith("cogo_snapshot_held_seconds{") and labels in line]
    assert [line for line in lines if line.startswith("cogo_snapshot_held_transactions{") and labels in line]


def test_wrong_tokens_do_not_lock_out_valid_ones(site: Site) -> None:
    """Thirty wrong tokens get 401, then 429; the admin token and an access token keep working, by header and form."""
    named, _ = tokens_of(site).create("ci", "viewer")
    wrong = [site.client.get("/api/jobs", headers={"x-admin-token": f"{n:064x}"}).status_code for n in range(30)]
    assert wrong == [401] * 10 + [429] * 20
    for token in (ADMIN["x-admin-token"], named):
        assert site.client.get("/api/jobs", headers={"x-admin-token": token}).status_code == 200
        assert site.cookie(token=token)


def test_the_log_names_the_holder_of_a_token(site: Site) -> None:
    """The actor in the log is the token's holder, followed by the name that the request gives."""
    token, _ = tokens_of(site).create("deploy-bot", "operator")
    what = {"kind": "type", "name": "browser"}
    for path, actor in (("/api/pause", None), ("/api/resume", "anna")):
        headers = {"x-admin-token": token} | ({"x-actor": actor} if actor else {})
        assert site.client.post(path, json=what, headers=headers).status_code == 200
    with httpx.Client(base_url=site.url, cookies={"cogo_session": site.cookie("Bert", token)}) as browser:
        assert browser.post("/dashboard/pause", data=what, headers={"origin": site.url}).status_code == 303
    site.post("/api/resume", what)
    actors = [
        one.document["actor"]
        for one in site.queue.list_operations()
        if one.document["operation"] in ("pause", "resume")
    ]
    assert actors == ["api:tester", "web:deploy-bot (Bert)", "api:deploy-bot (anna)", "api:deploy-bot"]


def test_administrators_create_and_revoke_tokens(site: Site) -> None:
    """A new token works at once, is never listed with its secret, and is rejected after its revocation."""
    made = site.post("/api/tokens", {"name": "anna", "role": "operator", "expires_in_seconds": 3600})
    headers = {"x-admin-token": made["token"]}
    assert site.client.get("/api/jobs", headers=headers).status_code == 200
    answer = site.client.get("/api/tokens", headers=ADMIN)
    assert made["token"] not in answer.text
    [row] = answer.json()["tokens"]
    assert (row["name"], row["role"], row["state"], row["created_by"]) == ("anna", "operator", "live", "api:tester")
    assert row["last_used_at"] is not None
    assert "named anna: revoke it" in site.post("/api/tokens", {"name": "anna", "role": "viewer"}, status=409)["error"]
    assert site.post("/api/tokens/anna/revoke") == {"name": "anna", "changed": True, "sessions": 0}
    assert site.client.get("/api/jobs", headers=headers).status_code == 401
    assert [one.document["operation"] for one in site.queue.list_operations()] == ["revoke_token", "create_token"]


def test_open_pages_have_no_confidential_text(site: Site, confidential: list[str]) -> None:
    """Error messages, reasons of pauses and operators' names are shown to clients with a token only."""
    paths = ("/dashboard/local", "/api/metrics/gate/summary?hours=24", "/api/metrics/quality/gate/recent")
    week = "/api/metrics/weekly/summary?week=" + site.get("/api/metrics/weekly/summary", week=this_week())["week"]
    for path in (*paths, week):
        answer = site.client.get(path)
        assert answer.status_code == 200, path
        body = answer.text
        assert [text for text in confidential if text in body] == [], path
    known = "".join(site.client.get(path, headers=ADMIN).text for path in (*paths, week))
    assert [text for text in confidential if text not in known] == []


def test_commands_send_the_admin_token_to_the_api(site: Site, confidential: list[str]) -> None:
    """With the admin token, failures have messages; the token is sent over TLS or to the loopback address only."""
    token = SecretStr(ADMIN["x-admin-token"])
    assert [one.message for one in MetricsApi(site.url, token).summary().top_failures] == ["word-of-a-job"]
    assert [one.message for one in MetricsApi(site.url).summary().top_failures] == [""]
    assert [one.message for one in MetricsApi(site.url, SecretStr("stale")).summary().top_failures] == [""]
    sent = {
        base: "x-admin-token" in MetricsApi(base, token)._headers()
        for base in ("https://ops.example.com", "http://localhost:8780", "http://[::1]:1", "http://ops.example.com")
    }
    assert list(sent.values()) == [True, True, True, False]


def this_week() -> str:
    """Return the current ISO week."""
    year, week, _ = datetime.now(UTC).isocalendar()
    return f"{year}-W{week:02}"


@pytest.fixture
def confidential(site: Site, owner: Owner) -> list[str]:
    """Create a failed job, a pause and a failed probe, each with a text that only authorized clients may see."""
    failing(site.queue, JobError("timeout", "word-of-a-job"), payload={"url": "https://word-of-a-payload.example"})
    site.queue.pause("type", "browser", reason="word-of-a-pause", actor="word-of-an-operator")
    owner.execute(
        "insert into public.provider_health (provider, capability, healthy, error)"
        " values ('figma', 'export', false, 'word-of-a-probe')"
    )
    return ["word-of-a-job", "word-of-a-pause", "word-of-an-operator", "word-of-a-probe"]
