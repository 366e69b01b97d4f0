"""Extra headers and cookies: each is sent as it was given, or rejected at enqueue."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cogo_dagster.executors.browser import BrowserOptions
from cogo_dagster.executors.browser.executor import BrowserExecutor
from cogo_dagster.executors.browser.headers import MAX_COOKIE_CHARS
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster_tests.executors.bench import OPTIONS, Bench, bench
from cogo_dagster_tests.executors.site import Site

URL = "https://example.com/"
NO_FILES = {"screenshot": False, "html": False}
LONGEST = "a=" + "x" * (MAX_COOKIE_CHARS - 1)


@pytest.fixture
def http(open_bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The executor without a browser."""
    options = replace(OPTIONS, real_mode=False, allowed_hosts=("127.0.0.1", "localhost"))
    with bench(open_bench.site, tmp_path_factory.mktemp("http"), options) as started:
        yield started


@pytest.fixture(params=["browser", "http"])
def runs(request: pytest.FixtureRequest, open_bench: Bench, http: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The executor with a browser, and the one without; both may connect to this machine under two names."""
    open_bench.change(monkeypatch, allowed_hosts=("127.0.0.1", "localhost"))
    return open_bench if request.param == "browser" else http


def parse(cookies: str, url: str = URL) -> Any:
    """Parse a payload with these cookies."""
    headers = {"Cookie": cookies}
    return BrowserExecutor(BrowserOptions()).parse("browser", {"url": url, "extra_headers": headers})


@pytest.mark.parametrize("name", ["Site", "Mode", "Dest", "User", "Storage-Access"])
def test_headers_that_the_browser_writes_for_each_request_are_rejected(name: str) -> None:
    """The browser replaces the headers Sec-Fetch-*, so that a payload cannot set them."""
    payload = {"url": URL, "extra_headers": {f"sec-fetch-{name}": "none"}}
    with pytest.raises(InvalidPayload, match="is set by the browser"):
        BrowserExecutor(BrowserOptions()).parse("browser", payload)


@pytest.mark.parametrize("value", [" a\t", "  ", ""])
def test_white_space_around_a_value_is_not_part_of_it(runs: Bench, value: str) -> None:
    """It is removed in both modes; a client without a browser would reject it."""
    runs.run({"url": runs.site.url("/list"), "extra_headers": {"X-Team": value}, **NO_FILES})
    assert runs.site.headers["/list"]["x-team"] == value.strip()


@pytest.mark.parametrize(
    ("cookies", "url", "message"),
    [
        ("a=1; b=2; a=3", URL, "two cookies of one name"),
        (f"{LONGEST}x", URL, "longer than 4,096 characters"),
        ("__Http-a=1", URL, "only be set by a server"),
        ("__Host-Http-a=1", URL, "only be set by a server"),
        ("__Host-a=1", "http://example.com/", "sent to https only"),
        ("__secure-a=1", "http://example.com/", "sent to https only"),
    ],
)
def test_cookies_that_no_browser_sends_are_rejected(cookies: str, url: str, message: str) -> None:
    """A cookie that the browser would reject or not send to the URL is rejected at enqueue, with the reason."""
    with pytest.raises(InvalidPayload, match=message):
        parse(cookies, url)


@pytest.mark.parametrize("cookies", ["__Host-a=1; __Secure-b=2", LONGEST, " a=1 "])
def test_other_cookies_are_accepted(cookies: str) -> None:
    """Cookies with a prefix are accepted for https, and the longest cookie of a browser is accepted."""
    assert parse(cookies).cookies


def test_the_longest_cookie_is_sent(shared: Bench) -> None:
    """The browser accepts a cookie of the maximum length."""
    shared.run({"url": shared.site.url("/list"), "extra_headers": {"Cookie": LONGEST}, **NO_FILES})
    assert shared.site.headers["/list"]["cookie"] == LONGEST


def test_cookies_are_sent_to_every_path_of_the_host(shared: Bench) -> None:
    """A page in a folder sends the cookies with requests for other folders too, as a header would be."""
    shared.site.pages["/shop/page"] = "<script>fetch('/api').then(() => document.body.id = 'done')</script><p>x"
    actions = [{"do": "wait_for", "selector": "#done"}]
    headers = {"Cookie": "a=b"}
    shared.run({"url": shared.site.url("/shop/page"), "extra_headers": headers, "actions": actions, **NO_FILES})
    assert shared.site.headers["/api"]["cookie"] == "a=b"


def test_cookies_follow_a_redirect_on_the_same_host_only(runs: Bench, site: Site) -> None:
    """Both modes send the cookies to the target of a redirect if its host is that of the URL."""
    target = runs.site.url("/list")
    headers = {"Cookie": "a=b; c=d"}
    runs.run({"url": runs.site.url(f"/to?{target}"), "extra_headers": headers, **NO_FILES})
    assert runs.site.headers["/list"]["cookie"] == "a=b; c=d"
    other = site.url("/list").replace("127.0.0.1", "localhost")
    runs.run({"url": runs.site.url(f"/to?{other}"), "extra_headers": headers, **NO_FILES})
    assert "cookie" not in site.headers["/list"]
