"""Every route against everybody who may ask: which status each gets."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from cogo_dagster.quality.api import MetricsApi
from cogo_dagster.queue.model import JobError, Json
from cogo_dagster.settings import Settings
from cogo_dagster.vault.access_tokens import ROLES
from cogo_dagster.web import access
from cogo_dagster.web.app import access_rules, create_app, require_rules
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.web.conftest import ADMIN, Serve, Site, tokens_of
from cogo_dagster_tests.web.scene import failing

Rule = Literal["open", "metrics", "viewer", "operator", "admin"]

# Who may ask for a route, and the status that whoever may gets for an id that nobody has.
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
    "GET /api/metrics/jobs/counts": ("viewer", 200),
    "GET /api/metrics/jobs/history": ("viewer", 200),
    "GET /api/jobs": ("viewer", 200),
    "GET /api/jobs/{job_id}": ("viewer", 404),
    "GET /api/jobs/{job_id}/attempts": ("viewer", 404),
    "GET /api/jobs/{job_id}/payload": ("viewer", 404),
    "GET /api/jobs/{job_id}/result": ("viewer", 404),
    "POST /api/jobs/retry": ("operator", 200),
    "POST /api/jobs/{job_id}/retry": ("operator", 404),
    "POST /api/jobs/{job_id}/cancel": ("operator", 404),
    "GET /api/dlq": ("viewer", 200),
    "GET /api/dlq/incidents": ("viewer", 200),
    "POST /api/dlq/replay": ("operator", 200),
    "POST /api/dlq/{job_id}/replay": ("operator", 404),
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
    "GET /dashboard/jobs/{job_id}": ("viewer", 404),
    "GET /dashboard/dlq": ("viewer", 200),
    "GET /dashboard/dlq/replay": ("viewer", 200),
    "GET /dashboard/workers": ("viewer", 200),
    "GET /dashboard/alerts": ("viewer", 200),
    "GET /dashboard/log": ("viewer", 200),
    "GET /dashboard/live": ("viewer", 200),
    "POST /dashboard/notify/weekly": ("operator", 303),
    "POST /dashboard/jobs/{job_id}/cancel": ("operator", 404),
    "POST /dashboard/jobs/{job_id}/retry": ("operator", 404),
    "POST /dashboard/jobs/{job_id}/replay": ("operator", 404),
    "POST /dashboard/dlq/replay": ("operator", 303),
    "POST /dashboard/pause": ("operator", 422),
    "POST /dashboard/resume": ("operator", 422),
}

LOGIN = "login"
"""Not a status: the answer leads to the login page."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks.

    Attributes:
        role: What their token or session is good for; None for nothing.
        cookie: Of a session, where they come with one instead of a token.
    """

    headers: dict[str, str]
    role: Rule | None = None
    cookie: str | None = None

    def expected(self, route: str) -> int | str:
        """Return the status this visitor gets for a route."""
        method, _, path = route.partition(" ")
        rule, allowed = ROUTES[route]
        page = path.startswith("/dashboard")
        if rule == "open":
            return allowed
        # Forms want a session; actions of the API want a token, since a browser sends its cookie by itself.
        sent = self.cookie if page and method == "POST" else self.headers if method == "POST" else True
        if self.role is None or not sent:
            return LOGIN if page else 401
        ranks = ("viewer", "operator", "admin")
        needed = "viewer" if rule == "metrics" else rule
        return allowed if ranks.index(self.role) >= ranks.index(needed) else 403


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let wrong tokens be tried without end."""
    monkeypatch.setattr(access, "_GUESSES", 1_000_000)


@pytest.fixture
def visitors(site: Site, owner: Owner) -> dict[str, Visitor]:
    """Return everybody who may ask; those whose token or session has ended had a good one before."""
    tokens = tokens_of(site)
    made = {role: tokens.create(role, role)[0] for role in ROLES}
    expired, revoked = tokens.create("late", "admin", expires_in_seconds=60)[0], tokens.create("gone", "admin")[0]
    session_of_revoked, session_of_expired = site.cookie(token=revoked), site.cookie(token=expired)
    logged_out = site.cookie()
    log_out(site, logged_out)
    tokens.revoke("gone")
    owner.execute("update public.access_tokens set expires_at = now() - interval '1 s' where name = 'late'")
    by_token = {role: Visitor({"x-admin-token": token}, role) for role, token in made.items()}
    by_session = {f"session of the {role}": Visitor({}, role, site.cookie(token=token)) for role, token in made.items()}
    return {
        "no token": Visitor({}),
        "wrong token": Visitor({"x-admin-token": "0" * 64}),
        "wrong named token": Visitor({"x-admin-token": "cogo_" + "A" * 43}),
        "expired token": Visitor({"x-admin-token": expired}),
        "revoked token": Visitor({"x-admin-token": revoked}),
        **by_token,
        "admin token": Visitor(ADMIN, "admin"),
        "session": Visitor({}, "admin", site.cookie()),
        **by_session,
        "session that was logged out": Visitor({}, None, logged_out),
        "session of the revoked token": Visitor({}, None, session_of_revoked),
        "session of the expired token": Visitor({}, None, session_of_expired),
        "session that somebody made up": Visitor({}, None, "A" * 43),
    }


def log_out(site: Site, cookie: str) -> None:
    """Press the button of a browser that has this cookie."""
    with httpx.Client(base_url=site.url, cookies={"cogo_session": cookie}) as browser:
        assert browser.post("/dashboard/logout", headers={"origin": site.url}).status_code == 303


def seen(site: Site, route: str, visitor: Visitor) -> int | str:
    """Ask, and return the status, or that it leads to the login page."""
    method, _, path = route.partition(" ")
    for name in ("job_id", "artifact_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    path = path.replace("{name}", "nobody")
    page = path.startswith("/dashboard")
    body: Json = {"data": {"token": ""}} if page else {"json": {}}
    given = body if method == "POST" and not path.endswith(("cancel", "weekly", "revoke")) else {}
    cookies = {"cookie": f"cogo_session={visitor.cookie}"} if visitor.cookie else {}
    headers = visitor.headers | cookies | ({"origin": site.url} if page else {})
    with site.client.stream(method, path, headers=headers, **given) as answer:
        led = answer.headers.get("location", "")
        return LOGIN if led.startswith("/dashboard/login") else answer.status_code


@pytest.mark.usefixtures("patient")
def test_every_route_answers_everybody_as_decided(site: Site, visitors: dict[str, Visitor]) -> None:
    """Each route of the application times each visitor; none answers whom it should not, and none with a fault."""
    wrong = {
        (route, name): (status, visitor.expected(route))
        for route in sorted(ROUTES, key=lambda route: route == "POST /dashboard/logout")  # which ends their sessions
        for name, visitor in visitors.items()
        if (status := seen(site, route, visitor)) != visitor.expected(route)
    }
    assert wrong == {}


def test_every_route_is_decided(settings: Settings) -> None:
    """A new route without a line above fails here, and so does a line without its route."""
    decided = {route: {rule} for route, (rule, _) in ROUTES.items()}
    assert dict(access_rules(create_app(settings))) == decided


def test_a_route_without_a_rule_is_not_served(settings: Settings) -> None:
    """The application does not start with it."""

    def everything() -> None:
        """Answer whoever asks."""

    app = create_app(settings)
    app.add_api_route("/api/everything", everything)
    with pytest.raises(RuntimeError, match="GET /api/everything"):
        require_rules(app)


def test_metrics_take_a_bearer_token_too(site: Site) -> None:
    """As Prometheus sends it; no other route does."""
    token, _ = tokens_of(site).create("prometheus", "viewer")
    for sent, status in ((f"Bearer {token}", 200), ("Bearer wrong", 401), (f"Basic {token}", 401), ("Bearer", 401)):
        assert site.client.get("/metrics", headers={"authorization": sent}).status_code == status, sent
    assert site.client.get("/api/jobs", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_metrics_are_open_where_the_settings_say_so(serve: Serve, settings: Settings) -> None:
    """COGO_METRICS_OPEN opens /metrics, and nothing else."""
    with serve(settings=settings.model_copy(update={"metrics_open": True})) as site:
        assert site.client.get("/metrics").status_code == 200
        for path in ("/api/metrics/queue", "/api/jobs"):
            assert site.client.get(path).status_code == 401


def test_readiness_says_no_more_than_that_without_a_token(site: Site) -> None:
    """One word; with a token, the release, the deployment and the targets. A wrong token turns no probe red."""
    assert site.client.get("/readyz").json() == {"status": "ok"}
    assert site.client.get("/readyz", headers={"x-admin-token": "wrong"}).json() == {"status": "ok"}
    assert site.get("/readyz").keys() == {"status", "release", "deployment_id", "unreachable_targets"}


def test_wrong_tokens_of_anybody_keep_no_right_one_out(site: Site) -> None:
    """Thirty wrong ones: 401, then 429; the admin token and a named one work all the while, by header and by form."""
    named, _ = tokens_of(site).create("ci", "viewer")
    wrong = [site.client.get("/api/jobs", headers={"x-admin-token": f"{n:064x}"}).status_code for n in range(30)]
    assert wrong == [401] * 10 + [429] * 20
    for token in (ADMIN["x-admin-token"], named):
        assert site.client.get("/api/jobs", headers={"x-admin-token": token}).status_code == 200
        assert site.cookie(token=token)


def test_an_operator_is_named_in_the_log(site: Site) -> None:
    """The holder of the token, with whoever they say they are; nobody else by saying so."""
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


def test_administrators_make_and_revoke_tokens(site: Site) -> None:
    """The token is said once, works at once, is listed without itself, and is refused after its revocation."""
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


def test_who_may_not_read_sees_numbers_only(site: Site, application_words: list[str]) -> None:
    """What jobs were about, what operators wrote and what probes found is on no open page and in no open document."""
    paths = ("/dashboard/local", "/api/metrics/gate/summary?hours=24", "/api/metrics/quality/gate/recent")
    week = "/api/metrics/weekly/summary?week=" + site.get("/api/metrics/weekly/summary", week=this_week())["week"]
    for path in (*paths, week):
        answer = site.client.get(path)
        assert answer.status_code == 200, path
        text = answer.text
        assert [word for word in application_words if word in text] == [], path
    known = "".join(site.client.get(path, headers=ADMIN).text for path in (*paths, week))
    assert [word for word in application_words if word not in known] == []


def test_commands_that_read_the_api_show_the_admin_token(site: Site, application_words: list[str]) -> None:
    """Then failures have their messages; it goes over TLS or to this machine only."""
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
    """Return the ISO week that runs."""
    year, week, _ = datetime.now(UTC).isocalendar()
    return f"{year}-W{week:02}"


@pytest.fixture
def application_words(site: Site, owner: Owner) -> list[str]:
    """Let a job fail, a type be paused and a probe fail, each with a word that only readers should see."""
    failing(site.queue, JobError("timeout", "word-of-a-job"), payload={"url": "https://word-of-a-payload.example"})
    site.queue.pause("type", "browser", reason="word-of-a-pause", actor="word-of-an-operator")
    owner.execute(
        "insert into public.provider_health (provider, capability, healthy, error)"
        " values ('figma', 'export', false, 'word-of-a-probe')"
    )
    return ["word-of-a-job", "word-of-a-pause", "word-of-an-operator", "word-of-a-probe"]
