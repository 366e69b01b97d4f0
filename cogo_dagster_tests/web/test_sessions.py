"""Sessions: they end on all servers, survive restarts, keep deep links working, and stay out of the log."""

import hashlib
import logging
from dataclasses import replace
from functools import partial

import pytest
from pydantic import SecretStr

from cogo_dagster.bootstrap import Application
from cogo_dagster.settings import Settings
from cogo_dagster.vault.key_ring import new_key
from cogo_dagster.web.backend import Backend
from cogo_dagster.web.pages import live
from cogo_dagster.web.serve import log_without_secrets
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.vault.vaults import TOKEN as REFERENCE
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site, tokens_of
from cogo_dagster_tests.web.population import Population
from cogo_dagster_tests.web.test_access import log_out

NEW = "f" * 64


def reads(site: Site, cookie: str) -> bool:
    """Whether a session may read."""
    answer = site.client.get("/api/jobs", headers={"cookie": f"cogo_session={cookie}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def accepts(site: Site, token: str) -> bool:
    """Whether a token may read."""
    return site.client.get("/api/jobs", headers={"x-admin-token": token}).status_code == 200


def test_a_logout_ends_the_session_on_all_servers(serve: Serve) -> None:
    """A kept cookie is invalid after the logout; other sessions continue, also after a restart."""
    with serve() as first, serve() as second:
        kept, other = first.cookie(), second.cookie()
        assert reads(second, kept)
        log_out(second, kept)
        assert [reads(site, kept) for site in (first, second)] == [False, False]
        answer = first.client.post(
            f"/dashboard/jobs/{add(first.queue)}/cancel",
            headers={"origin": first.url, "cookie": f"cogo_session={kept}"},
        )
        assert answer.headers["location"].startswith("/dashboard/login")
        assert reads(first, other)
    with serve() as restarted:
        assert (reads(restarted, kept), reads(restarted, other)) == (False, True)


def test_the_lifetime_of_a_session_is_a_setting(serve: Serve, settings: Settings, owner: Owner) -> None:
    """The browser and the database have the same."""
    with serve(settings=settings.model_copy(update={"session_ttl_hours": 1.5})) as site:
        form = {"token": TOKEN, "name": "Anna"}
        answer = site.client.post("/dashboard/login", data=form, headers={"origin": site.url})
    assert "max-age=5400" in answer.headers["set-cookie"].lower()
    query = "select extract(epoch from expires_at - created_at) from public.web_sessions"
    assert [round(seconds) for (seconds,) in owner.execute(query.encode())] == [5_400]


def test_a_new_admin_token_ends_the_sessions_of_the_old_one(serve: Serve, settings: Settings) -> None:
    """Sessions of access tokens continue."""
    with serve() as site:
        by_admin, (named, _) = site.cookie(), tokens_of(site).create("anna", "viewer")
        by_name = site.cookie(token=named)
    with serve(settings=settings.model_copy(update={"admin_token": SecretStr(NEW)})) as site:
        assert (reads(site, by_admin), reads(site, by_name)) == (False, True)
        tokens_of(site).revoke("anna")
        assert not reads(site, by_name)


def test_the_vaults_admin_token_works_like_the_environments(
    serve: Serve, settings: Settings, application: Application
) -> None:
    """A new token takes effect within a second and ends the sessions; the environment's token takes precedence."""
    bare = settings.model_copy(update={"admin_token": None, "vault_keys": SecretStr(new_key())})
    vault = replace(application, settings=bare).vault
    vault.put(REFERENCE, TOKEN)
    with serve(settings=bare) as site:
        cookie = site.cookie()
        assert accepts(site, TOKEN)
        vault.put(REFERENCE, NEW)
        site.access._admin_token._kept = None  # expires the cached token
        assert (accepts(site, TOKEN), accepts(site, NEW), reads(site, cookie)) == (False, True, False)
    both = bare.model_copy(update={"admin_token": SecretStr(TOKEN)})
    with serve(settings=both) as site:
        assert (accepts(site, TOKEN), accepts(site, NEW)) == (True, False)


def test_named_tokens_work_while_the_vault_cannot_be_read(
    serve: Serve, settings: Settings, application: Application
) -> None:
    """With a lost vault key, access tokens work; the admin token gets 503 with the reason."""
    bare = settings.model_copy(update={"admin_token": None, "vault_keys": SecretStr(new_key())})
    replace(application, settings=bare).vault.put(REFERENCE, TOKEN)
    lost = bare.model_copy(update={"vault_keys": SecretStr(new_key())})
    with serve(settings=lost) as site:
        named, _ = tokens_of(site).create("anna", "viewer")
        assert accepts(site, named)
        assert reads(site, site.cookie(token=named))
        answer = site.client.get("/api/jobs", headers=ADMIN)
        assert (answer.status_code, "is encrypted with the key" in answer.json()["error"]) == (503, True)
        assert site.client.get("/dashboard/local").status_code == 200


def test_the_use_of_a_token_is_recorded_once_a_minute(site: Site, owner: Owner) -> None:
    """Use by header and by session updates `last_used_at` at most once a minute."""
    token, _ = tokens_of(site).create("anna", "viewer")
    cookie = site.cookie(token=token)

    def last_used() -> object:
        return tokens_of(site).rows()[0].document["last_used_at"]

    first = last_used()
    assert first is not None
    assert accepts(site, token)
    assert reads(site, cookie)
    assert last_used() == first
    for use in (partial(accepts, site, token), partial(reads, site, cookie)):
        owner.execute("update public.access_tokens set last_used_at = now() - interval '61 s'")
        aged = last_used()
        assert use()
        assert last_used() != aged


def test_the_database_holds_neither_tokens_nor_cookies(site: Site, owner: Owner) -> None:
    """The tables contain hashes only, and no unkeyed hash of the admin token."""
    token, _ = tokens_of(site).create("anna", "viewer")
    cookies = site.cookie(), site.cookie(token=token)
    rows = owner.execute(
        "select to_jsonb(t)::text from public.access_tokens t"
        " union all select to_jsonb(s)::text from public.web_sessions s"
    ).fetchall()
    text = " ".join(row for (row,) in rows)
    for secret in (token, TOKEN, *cookies):
        assert secret not in text
    assert hashlib.sha256(TOKEN.encode()).hexdigest() not in text


def test_a_signed_url_shows_one_artifact_during_its_session(site: Site, populated: Population, owner: Owner) -> None:
    """A signed URL works for its artifact only, not with changed parameters, and not after the logout."""
    cookie = site.cookie()
    session = site.access.session(cookie)
    assert session is not None
    one, two, *_ = [row["id"] for row in site.get("/api/artifacts")["artifacts"]]
    given = site.access.sign(session, one)

    def status(artifact_id: str, **changed: str) -> int:
        return site.client.get(f"/api/artifacts/{artifact_id}/content", params=given | changed).status_code

    assert status(one) == 200
    assert status(two) == 401
    assert status(one, expires=str(int(given["expires"]) + 1)) == 401
    assert status(one, signature="0" * 64) == status(one, signature="é") == status(one, session="x") == 401
    assert site.client.get("/api/jobs", params=given).status_code == 401
    log_out(site, cookie)
    assert status(one) == 401


def test_an_event_stream_ends_with_its_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event stream of a page is closed soon after the logout."""
    monkeypatch.setattr(live, "POLL_SECONDS", 0.02)
    cookie = site.cookie()
    with site.client.stream("GET", "/dashboard/live", headers={"cookie": f"cogo_session={cookie}"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: change"
        log_out(site, cookie)
        for _ in lines:
            pass  # until the server closes the stream
    assert answer.status_code == 200


def test_the_log_has_no_secrets(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Tokens and passwords are redacted in log messages and tracebacks."""
    named = "cogo_" + "B" * 43
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers = []
    try:
        log_without_secrets(settings)
        error = RuntimeError(f"x-admin-token: {TOKEN} password=hunter22 {named}")
        logging.getLogger("uvicorn.error").error("GET /%s failed with %s", TOKEN, named, exc_info=error)
    finally:
        root.handlers, root.level = before
    logged = capfd.readouterr().err
    assert "RuntimeError" in logged
    assert [secret for secret in (TOKEN, "hunter22", named) if secret in logged] == []


def test_an_internal_error_is_logged_without_the_query(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the route of a failed request, without its query string."""

    def fail(_: Backend) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Backend, "numbers", fail)
    with serve() as site:
        answer = site.client.get("/api/metrics/queue?signature=canary-in-an-address", headers=ADMIN)
    assert answer.status_code == 500
    assert "GET /api/metrics/queue failed" in caplog.text
    assert [text for text in ("canary-in-an-address", TOKEN) if text in caplog.text] == []
