"""The server behind reverse proxies with common configurations, and on a developer's machine."""

from collections.abc import Iterator
from ipaddress import ip_network

import httpx
import pytest

from cogo_dagster.settings import Settings, SettingsError, load_settings
from cogo_dagster.web.clients import address_of as read
from cogo_dagster.web.clients import client_address, client_key
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site
from cogo_dagster_tests.web.population import Population
from cogo_dagster_tests.web.reverse_proxy import Kind, reverse_proxy

CLOSED = (
    "/api/jobs",
    "/api/jobs/{done}",
    "/api/artifacts",
    "/api/alerts",
    "/api/operations",
    "/api/dlq",
    "/api/workers",
    "/api/metrics/queue",
    "/metrics",
    "/dashboard/jobs",
    "/dashboard/jobs/{done}",
    "/dashboard/alerts",
    "/dashboard/log",
    "/dashboard/live",
)

HEADERS = (
    {"forwarded": "for=203.0.113.9"},
    {"x-forwarded-for": "203.0.113.9"},
    {"x-forwarded-host": "ops.example.com"},
    {"x-forwarded-proto": "https"},
    {"x-forwarded-anything": "1"},
    {"x-real-ip": "203.0.113.9"},
    {"via": "1.1 proxy"},
    {"true-client-ip": "203.0.113.9"},
    {"cf-connecting-ip": "203.0.113.9"},
)


@pytest.fixture
def dev(serve: Serve) -> Iterator[Site]:
    """Run a server as `cogo dev` does."""
    with serve(open_here=True) as site:
        yield site


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_behind_a_proxy_reading_needs_a_session(
    serve: Serve, settings: Settings, populated: Population, kind: Kind
) -> None:
    """Without a session, closed routes return 401 or the login page and open ones 200; with a token, all work."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",)})
    with serve(settings=known) as site, reverse_proxy(site.url, kind) as public:
        headers = {"host": "ops.example.com", "x-forwarded-for": "127.0.0.1"}
        for path in CLOSED:
            answer = httpx.get(public + path.format(done=populated.done), headers=headers)
            led = answer.headers.get("location", "").startswith("/dashboard/login")
            assert (answer.status_code, led) in ((401, False), (303, True)), path
        for path in ("/healthz", "/readyz", "/dashboard/local", "/api/metrics/gate/summary"):
            assert httpx.get(public + path, headers=headers).status_code == 200, path
        assert httpx.get(f"{public}/api/jobs/{populated.done}", headers=headers | ADMIN).status_code == 200


@pytest.mark.parametrize(
    ("kind", "scheme"), [("nginx", "http"), ("nginx", "https"), ("caddy", "http"), ("caddy", "https")]
)
@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
def test_operators_log_in_and_act_through_a_proxy(
    serve: Serve, settings: Settings, kind: Kind, scheme: str, header: str
) -> None:
    """Forms of the public address are accepted although nginx does not forward it; forms of other sites are not."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",)})
    own = {"origin": f"{scheme}://ops.example.com", "sec-fetch-site": "same-origin"}[header]
    foreign = {"origin": f"{scheme}://evil.example", "sec-fetch-site": "same-site"}[header]
    with serve(settings=known) as site, reverse_proxy(site.url, kind, public_scheme=scheme) as public:
        job = add(site.queue)
        with httpx.Client(base_url=public, headers={"host": "ops.example.com"}) as browser:
            form = {"token": TOKEN, "name": "Anna"}
            assert browser.post("/dashboard/login", data=form, headers={header: foreign}).status_code == 403
            answer = browser.post("/dashboard/login", data=form, headers={header: own})
            assert answer.status_code == 303
            assert ("secure" in answer.headers["set-cookie"].lower()) is (kind == "caddy" and scheme == "https")
            cookie = {"cookie": f"cogo_session={answer.cookies['cogo_session']}"}
            path = f"/dashboard/jobs/{job}/cancel"
            assert browser.post(path, headers=cookie | {header: foreign}).status_code == 403
            assert browser.post(path, headers=cookie | {header: own}).status_code == 303
        assert site.queue.list_operations()[0].document["actor"] == "web:Anna"


def test_cogo_dev_reads_without_a_session(dev: Site, populated: Population) -> None:
    """Reads by any loopback name need no session; actions do, and a wrong token is rejected."""
    for host in (dev.url.removeprefix("http://"), "localhost:1", "[::1]:1"):
        for path in CLOSED:
            with dev.client.stream("GET", path.format(done=populated.done), headers={"host": host}) as answer:
                assert answer.status_code == 200, path
    assert dev.client.get("/api/jobs", headers={"x-admin-token": "wrong"}).status_code == 401
    job = add(dev.queue)
    assert dev.client.post(f"/api/jobs/{job}/cancel").status_code == 401
    assert dev.client.get("/api/tokens").status_code == 401
    answer = dev.client.post(f"/dashboard/jobs/{job}/cancel", headers={"origin": dev.url})
    assert answer.headers["location"].startswith("/dashboard/login")


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_cogo_dev_rejects_proxy_headers(dev: Site, headers: dict[str, str]) -> None:
    """A request with any header of a proxy gets 403 with a hint, on every route."""
    for path in ("/api/jobs", "/dashboard/local", "/healthz"):
        answer = dev.client.get(path, headers=headers)
        assert (answer.status_code, "cogo web" in answer.text) == (403, True)


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_cogo_dev_rejects_default_proxies(serve: Serve, settings: Settings, kind: Kind) -> None:
    """nginx, which adds no header by default, is recognized by HTTP/1.0."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",), "metrics_base": "http://ops.example.com"})
    with serve(settings=known, open_here=True) as site, reverse_proxy(site.url, kind) as public:
        for host in ("ops.example.com", "127.0.0.1"):
            assert httpx.get(f"{public}/api/jobs", headers={"host": host}).status_code == 403


def test_cogo_dev_accepts_loopback_names_only(serve: Serve, settings: Settings) -> None:
    """Host names of the settings are not accepted either."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",), "metrics_base": "http://m.example.com"})
    with serve(settings=known, open_here=True) as site:
        for host in ("ops.example.com", "m.example.com", "evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
            assert site.client.get("/api/jobs", headers={"host": host}).status_code == 421, host


def test_a_login_link_works_once_and_expires(dev: Site) -> None:
    """The link creates a session once; a used, expired or unknown one gets 401."""
    access = dev.access
    link = f"/dashboard/login?ticket={access.new_login_link()}"
    first = dev.client.get(link)
    assert (first.status_code, first.headers["location"]) == (303, "/dashboard/local?did=login")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    job = add(dev.queue)
    assert dev.client.post(f"/dashboard/jobs/{job}/cancel", headers={"origin": dev.url}).status_code == 303
    assert dev.queue.list_operations()[0].document["actor"] == "web:cogo dev"
    assert dev.client.get(link).status_code == 303  # in the browser that has the session
    with httpx.Client(base_url=dev.url) as another:
        again = another.get(link)
        assert (again.status_code, "set-cookie" in again.headers) == (401, False)
        late = access.new_login_link()
        access._links = dict.fromkeys(access._links, 0.0)
        for ticket in (late, "", "A" * 43):
            assert another.get(f"/dashboard/login?ticket={ticket}").status_code == 401


def test_sessions_of_cogo_dev_end_with_the_process(serve: Serve, settings: Settings) -> None:
    """Each process has its own admin token, so that sessions of a previous one are invalid."""
    bare = settings.model_copy(update={"admin_token": None})
    with serve(settings=bare, open_here=True) as site:
        ticket = site.access.new_login_link()
        cookie = site.client.get(f"/dashboard/login?ticket={ticket}").cookies["cogo_session"]
        assert can_act(site, cookie)
    with serve(settings=bare, open_here=True) as site:
        assert not can_act(site, cookie)


def can_act(site: Site, cookie: str) -> bool:
    """Whether a session may act."""
    headers = {"origin": site.url, "cookie": f"cogo_session={cookie}"}
    answer = site.client.post(f"/dashboard/jobs/{add(site.queue)}/cancel", headers=headers)
    return not answer.headers["location"].startswith("/dashboard/login")


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        ("10.0.0.2", "203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.2", "198.51.100.1, 203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.2", "198.51.100.1, 203.0.113.9, 10.0.0.3", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.2", "10.0.0.4, 10.0.0.3", "10.0.0.0/8", "10.0.0.4"),
        ("10.0.0.2", "", "10.0.0.0/8", "10.0.0.2"),
        ("10.0.0.2", "203.0.113.9, nonsense, 10.0.0.3", "10.0.0.0/8", "10.0.0.3"),
        ("10.0.0.2", "unknown", "10.0.0.0/8", "10.0.0.2"),
        ("::1", "[2001:db8::9]:4711", "::1", "2001:db8::9"),
        ("10.0.0.2", "203.0.113.9:4711", "10.0.0.2", "203.0.113.9"),
        ("10.0.0.2", "::ffff:203.0.113.9", "10.0.0.2", "203.0.113.9"),
    ],
)
def test_the_client_is_the_last_hop_before_trusted_proxies(
    peer: str, forwarded: str, trusted: str, client: str
) -> None:
    """Entries that a client wrote itself are further left and are ignored."""
    networks = [ip_network(trusted)]
    address = read(peer)
    assert address is not None
    assert str(client_address(address, forwarded.split(","), networks)) == client


@pytest.mark.parametrize(("trusted", "statuses"), [("", {429}), ("127.0.0.1", {401}), ("10.0.0.0/8", {429})])
def test_forwarded_addresses_count_from_trusted_proxies_only(
    serve: Serve, settings: Settings, trusted: str, statuses: set[int]
) -> None:
    """X-Forwarded-For of other clients is ignored: they share one rate limit."""
    known = settings.model_copy(update={"web_trusted_proxies": tuple(filter(None, [trusted]))})
    with serve(settings=known) as site:
        for number in range(10):
            wrong = {"x-admin-token": "wrong", "x-forwarded-for": f"203.0.113.{number}"}
            assert site.client.get("/api/jobs", headers=wrong).status_code == 401
        wrong = {"x-admin-token": "wrong", "x-forwarded-for": "203.0.113.200"}
        assert {site.client.get("/api/jobs", headers=wrong).status_code} == statuses


def test_an_ipv6_network_is_one_client() -> None:
    """A /64 is one client, and an IPv4-mapped address is the same client as the IPv4 address."""
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:1") != client_key("2001:db8:0:1::1")
    assert client_key("::ffff:203.0.113.9") == client_key("203.0.113.9")
    assert client_key(None) == client_key("testclient") == "unknown"


def test_an_invalid_network_is_reported() -> None:
    """The message names the setting and the value."""
    with pytest.raises(SettingsError, match=r"^COGO_WEB_TRUSTED_PROXIES is .*'proxy' does not appear"):
        load_settings(COGO_WEB_TRUSTED_PROXIES="10.0.0.0/8, proxy")
