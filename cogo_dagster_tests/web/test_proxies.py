"""Behind reverse proxies as people set them up, and on a developer's machine."""

from collections.abc import Iterator
from ipaddress import ip_network

import httpx
import pytest

from cogo_dagster.settings import Settings, SettingsError, load_settings
from cogo_dagster.web.clients import address_of as read
from cogo_dagster.web.clients import client_address, client_key
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.web.conftest import ADMIN, TOKEN, Serve, Site
from cogo_dagster_tests.web.reverse_proxy import Kind, reverse_proxy
from cogo_dagster_tests.web.scene import Scene

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
    """Serve as `cogo dev` does."""
    with serve(open_here=True) as site:
        yield site


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_behind_a_proxy_nothing_is_read_without_a_session(
    serve: Serve, settings: Settings, scene: Scene, kind: Kind
) -> None:
    """401 or the login page; the addresses of the runbook answer; with a token everything does."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",)})
    with serve(settings=known) as site, reverse_proxy(site.url, kind) as public:
        headers = {"host": "ops.example.com", "x-forwarded-for": "127.0.0.1"}
        for path in CLOSED:
            answer = httpx.get(public + path.format(done=scene.done), headers=headers)
            led = answer.headers.get("location", "").startswith("/dashboard/login")
            assert (answer.status_code, led) in ((401, False), (303, True)), path
        for path in ("/healthz", "/readyz", "/dashboard/local", "/api/metrics/gate/summary"):
            assert httpx.get(public + path, headers=headers).status_code == 200, path
        assert httpx.get(f"{public}/api/jobs/{scene.done}", headers=headers | ADMIN).status_code == 200


@pytest.mark.parametrize(
    ("kind", "scheme"), [("nginx", "http"), ("nginx", "https"), ("caddy", "http"), ("caddy", "https")]
)
@pytest.mark.parametrize("said", ["origin", "sec-fetch-site"])
def test_people_log_in_and_act_through_a_proxy(
    serve: Serve, settings: Settings, kind: Kind, scheme: str, said: str
) -> None:
    """Their browser names the public address, which nginx does not pass on; a form of another site is refused."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",)})
    own = {"origin": f"{scheme}://ops.example.com", "sec-fetch-site": "same-origin"}[said]
    foreign = {"origin": f"{scheme}://evil.example", "sec-fetch-site": "same-site"}[said]
    with serve(settings=known) as site, reverse_proxy(site.url, kind, public_scheme=scheme) as public:
        job = add(site.queue)
        with httpx.Client(base_url=public, headers={"host": "ops.example.com"}) as browser:
            form = {"token": TOKEN, "name": "Anna"}
            assert browser.post("/dashboard/login", data=form, headers={said: foreign}).status_code == 403
            answer = browser.post("/dashboard/login", data=form, headers={said: own})
            assert answer.status_code == 303
            assert ("secure" in answer.headers["set-cookie"].lower()) is (kind == "caddy" and scheme == "https")
            cookie = {"cookie": f"cogo_session={answer.cookies['cogo_session']}"}
            path = f"/dashboard/jobs/{job}/cancel"
            assert browser.post(path, headers=cookie | {said: foreign}).status_code == 403
            assert browser.post(path, headers=cookie | {said: own}).status_code == 303
        assert site.queue.list_operations()[0].document["actor"] == "web:Anna"


def test_on_a_developers_machine_reading_needs_no_session(dev: Site, scene: Scene) -> None:
    """By any of this machine's names; acting does, and a wrong token opens nothing."""
    for host in (dev.url.removeprefix("http://"), "localhost:1", "[::1]:1"):
        for path in CLOSED:
            with dev.client.stream("GET", path.format(done=scene.done), headers={"host": host}) as answer:
                assert answer.status_code == 200, path
    assert dev.client.get("/api/jobs", headers={"x-admin-token": "wrong"}).status_code == 401
    job = add(dev.queue)
    assert dev.client.post(f"/api/jobs/{job}/cancel").status_code == 401
    assert dev.client.get("/api/tokens").status_code == 401
    answer = dev.client.post(f"/dashboard/jobs/{job}/cancel", headers={"origin": dev.url})
    assert answer.headers["location"].startswith("/dashboard/login")


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_a_developers_machine_answers_no_proxy(dev: Site, headers: dict[str, str]) -> None:
    """Whatever a proxy writes is refused, on every route, and said."""
    for path in ("/api/jobs", "/dashboard/local", "/healthz"):
        answer = dev.client.get(path, headers=headers)
        assert (answer.status_code, "cogo web" in answer.text) == (403, True)


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_developers_machine_answers_no_stock_proxy(serve: Serve, settings: Settings, kind: Kind) -> None:
    """Also where a proxy writes nothing: nginx speaks HTTP/1.0 to what is behind it."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",), "metrics_base": "http://ops.example.com"})
    with serve(settings=known, open_here=True) as site, reverse_proxy(site.url, kind) as public:
        for host in ("ops.example.com", "127.0.0.1"):
            assert httpx.get(f"{public}/api/jobs", headers={"host": host}).status_code == 403


def test_a_developers_machine_answers_to_its_own_names_only(serve: Serve, settings: Settings) -> None:
    """Not to names of the settings either: they are for others."""
    known = settings.model_copy(update={"web_hosts": ("ops.example.com",), "metrics_base": "http://m.example.com"})
    with serve(settings=known, open_here=True) as site:
        for host in ("ops.example.com", "m.example.com", "evil.example", "127.0.0.1.evil.example", "10.0.0.1"):
            assert site.client.get("/api/jobs", headers={"host": host}).status_code == 421, host


def test_a_login_link_works_once_and_soon(dev: Site) -> None:
    """It sets the session's cookie and leads to the dashboard; the second time, and later, it does not."""
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


def test_sessions_of_a_developers_machine_end_with_it(serve: Serve, settings: Settings) -> None:
    """Each start has a token of its own, unless the environment has one."""
    bare = settings.model_copy(update={"admin_token": None})
    with serve(settings=bare, open_here=True) as site:
        ticket = site.access.new_login_link()
        cookie = site.client.get(f"/dashboard/login?ticket={ticket}").cookies["cogo_session"]
        assert acts(site, cookie)
    with serve(settings=bare, open_here=True) as site:
        assert not acts(site, cookie)


def acts(site: Site, cookie: str) -> bool:
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
    """What a client wrote itself stands further left, and does not count."""
    networks = [ip_network(trusted)]
    address = read(peer)
    assert address is not None
    assert str(client_address(address, forwarded.split(","), networks)) == client


@pytest.mark.parametrize(("trusted", "statuses"), [("", {429}), ("127.0.0.1", {401}), ("10.0.0.0/8", {429})])
def test_forwarded_addresses_count_from_trusted_proxies_only(
    serve: Serve, settings: Settings, trusted: str, statuses: set[int]
) -> None:
    """Otherwise everybody behind one address is one client, whatever they write about themselves."""
    known = settings.model_copy(update={"web_trusted_proxies": tuple(filter(None, [trusted]))})
    with serve(settings=known) as site:
        for number in range(10):
            wrong = {"x-admin-token": "wrong", "x-forwarded-for": f"203.0.113.{number}"}
            assert site.client.get("/api/jobs", headers=wrong).status_code == 401
        wrong = {"x-admin-token": "wrong", "x-forwarded-for": "203.0.113.200"}
        assert {site.client.get("/api/jobs", headers=wrong).status_code} == statuses


def test_one_customer_of_ipv6_is_one_client() -> None:
    """A /64 is counted together, and an IPv4-mapped address as the IPv4 address."""
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:1") != client_key("2001:db8:0:1::1")
    assert client_key("::ffff:203.0.113.9") == client_key("203.0.113.9")
    assert client_key(None) == client_key("testclient") == "unknown"


def test_a_network_that_is_none_is_a_sentence() -> None:
    """Named, with what was given."""
    with pytest.raises(SettingsError, match=r"^COGO_WEB_TRUSTED_PROXIES is .*'proxy' does not appear"):
        load_settings(COGO_WEB_TRUSTED_PROXIES="10.0.0.0/8, proxy")
