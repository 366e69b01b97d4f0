"""Sessions: they end on every server, survive a restart, lead back to where a link pointed, and stay out of the log."""

import hashlib
import logging
import re
from dataclasses import replace
from functools import partial

import httpx
import pytest
from playwright.sync_api import Browser, expect
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
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site, logged_in, tokens_of
from cogo_dagster_tests.web.scene import PIXEL, Scene
from cogo_dagster_tests.web.test_access import log_out

NEW = "f" * 64


def reads(site: Site, cookie: str) -> bool:
    """Whether a session lets somebody read."""
    answer = site.client.get("/api/jobs", headers={"cookie": f"cogo_session={cookie}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def takes(site: Site, token: str) -> bool:
    """Whether a token lets somebody read."""
    return site.client.get("/api/jobs", headers={"x-admin-token": token}).status_code == 200


def test_a_log_out_ends_the_session_on_every_server(serve: Serve) -> None:
    """Whoever kept the cookie has nothing; other sessions go on, and a restart ends none."""
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


def test_a_new_admin_token_ends_the_sessions_of_the_old_one(serve: Serve, settings: Settings) -> None:
    """Those of named tokens go on."""
    with serve() as site:
        by_admin, (named, _) = site.cookie(), tokens_of(site).create("anna", "viewer")
        by_name = site.cookie(token=named)
    with serve(settings=settings.model_copy(update={"admin_token": SecretStr(NEW)})) as site:
        assert (reads(site, by_admin), reads(site, by_name)) == (False, True)
        tokens_of(site).revoke("anna")
        assert not reads(site, by_name)


def test_the_vaults_admin_token_is_as_good_as_the_environments(
    serve: Serve, settings: Settings, application: Application
) -> None:
    """Another one counts within a second and ends the sessions; where both are set, the environment's counts."""
    bare = settings.model_copy(update={"admin_token": None, "vault_keys": SecretStr(new_key())})
    vault = replace(application, settings=bare).vault
    vault.put(REFERENCE, TOKEN)
    with serve(settings=bare) as site:
        cookie = site.cookie()
        assert takes(site, TOKEN)
        vault.put(REFERENCE, NEW)
        site.access._admin_token._kept = None  # a second later
        assert (takes(site, TOKEN), takes(site, NEW), reads(site, cookie)) == (False, True, False)
    both = bare.model_copy(update={"admin_token": SecretStr(TOKEN)})
    with serve(settings=both) as site:
        assert (takes(site, TOKEN), takes(site, NEW)) == (True, False)


def test_a_vault_that_cannot_be_read_keeps_no_named_token_out(
    serve: Serve, settings: Settings, application: Application
) -> None:
    """The key is lost: others are told so with 503."""
    bare = settings.model_copy(update={"admin_token": None, "vault_keys": SecretStr(new_key())})
    replace(application, settings=bare).vault.put(REFERENCE, TOKEN)
    lost = bare.model_copy(update={"vault_keys": SecretStr(new_key())})
    with serve(settings=lost) as site:
        named, _ = tokens_of(site).create("anna", "viewer")
        assert takes(site, named)
        assert reads(site, site.cookie(token=named))
        answer = site.client.get("/api/jobs", headers=ADMIN)
        assert (answer.status_code, "is encrypted with the key" in answer.json()["error"]) == (503, True)
        assert site.client.get("/dashboard/local").status_code == 200


def test_the_use_of_a_token_is_written_down_once_a_minute(site: Site, owner: Owner) -> None:
    """By header and by session alike."""
    token, _ = tokens_of(site).create("anna", "viewer")
    cookie = site.cookie(token=token)

    def last_used() -> object:
        return tokens_of(site).rows()[0].document["last_used_at"]

    first = last_used()
    assert first is not None
    assert takes(site, token)
    assert reads(site, cookie)
    assert last_used() == first
    for use in (partial(takes, site, token), partial(reads, site, cookie)):
        owner.execute("update public.access_tokens set last_used_at = now() - interval '61 s'")
        aged = last_used()
        assert use()
        assert last_used() != aged


def test_the_database_holds_neither_tokens_nor_cookies(site: Site, owner: Owner) -> None:
    """Hashes only; and of the admin token nothing that could be tried."""
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


def test_a_link_to_an_artifact_leads_through_the_log_in(site: Site, scene: Scene, browser: Browser) -> None:
    """As alerts and chats carry it: the login page, then the file. A program gets 401 instead."""
    [file] = [one for one in site.get("/api/artifacts")["artifacts"] if one["name"] == "screenshot.png"]
    link = f"{site.url}{file['content_url']}"
    assert httpx.get(link).status_code == 401
    assert httpx.get(link, headers={"accept": "image/avif,image/webp,*/*"}).status_code == 401
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.get_by_label("Admin token").fill(TOKEN)
    with page.expect_response(lambda answer: answer.url == link) as seen:
        page.get_by_role("button", name="Log in").click()
    assert (seen.value.status, seen.value.body()) == (200, PIXEL)
    context.close()


def test_a_link_on_another_site_finds_the_session(site: Site, scene: Scene, browser: Browser) -> None:
    """Browsers leave a strict cookie out of what another site leads to: no second log-in is asked for."""
    context = browser.new_context()
    logged_in(context, site)
    page = context.new_page()
    page.route(
        "http://chat.example/",
        lambda route: route.fulfill(
            content_type="text/html", body=f"<a href='{site.url}/dashboard/jobs/{scene.dead}'>job</a>"
        ),
    )
    page.goto("http://chat.example/")
    page.get_by_role("link", name="job").click()
    expect(page).to_have_url(re.compile(f"/dashboard/jobs/{scene.dead}"))
    expect(page.locator("#payload")).to_contain_text("shop.example.com")
    context.close()


def test_a_viewer_sees_no_button(site: Site, scene: Scene, browser: Browser) -> None:
    """And is told why; the pages follow the queue all the same."""
    token, _ = tokens_of(site).create("visitor", "viewer")
    context = browser.new_context(base_url=site.url)
    context.add_cookies([{"name": "cogo_session", "value": site.cookie(token=token), "url": site.url}])
    page = context.new_page()
    for path in (f"/dashboard/jobs/{scene.dead}", "/dashboard/workers", "/dashboard/alerts", "/dashboard/dlq"):
        page.goto(path)
        buttons = page.locator("main button:visible")
        assert buttons.count() == 0, path
        expect(page.get_by_text("visitor has the role viewer").first).to_be_visible()
    page.goto("/dashboard/jobs")
    expect(page.locator("#live")).to_have_text("live")
    context.close()


def test_the_open_page_shows_numbers_and_asks_for_nothing(site: Site, scene: Scene, browser: Browser) -> None:
    """Without a session: no error in the console, no request that is refused, and links that ask for a session."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("response", lambda answer: trouble.append(answer.url) if answer.status >= 300 else None)
    page.goto("/dashboard/local")
    expect(page.locator(".tile", has_text="Dead letters").locator("b")).to_have_text("5")
    assert "orders" not in page.content()
    assert trouble == []
    page.locator(".tile", has_text="Failed").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    context.close()


def test_a_signed_address_shows_one_artifact_while_its_session_lasts(site: Site, scene: Scene, owner: Owner) -> None:
    """No other artifact, no other route, not longer than its hour, not after the log-out."""
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


def test_a_stream_ends_soon_after_its_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that were open then learn nothing more."""
    monkeypatch.setattr(live, "GLANCE_SECONDS", 0.02)
    cookie = site.cookie()
    with site.client.stream("GET", "/dashboard/live", headers={"cookie": f"cogo_session={cookie}"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: change"
        log_out(site, cookie)
        for _ in lines:
            pass  # to its end
    assert answer.status_code == 200


def test_the_log_has_no_secret(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Tokens, cookies and login links, wherever they were sent, are not in what the server writes, faults included."""
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
    said = capfd.readouterr().err
    assert "RuntimeError" in said
    assert [secret for secret in (TOKEN, "hunter22", named) if secret in said] == []


def test_a_fault_is_logged_without_its_address(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody put into an address is not written; the route is."""

    def fail(_: Backend) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Backend, "numbers", fail)
    with serve() as site:
        answer = site.client.get("/api/metrics/queue?signature=canary-in-an-address", headers=ADMIN)
    assert answer.status_code == 500
    assert "GET /api/metrics/queue failed" in caplog.text
    assert [word for word in ("canary-in-an-address", TOKEN) if word in caplog.text] == []
