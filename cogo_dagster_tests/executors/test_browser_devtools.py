"""The proxy's credential is sent once per job, and fast screenshots show the same as others."""

from typing import Any

import pytest
from playwright.async_api import Page

from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster_tests.executors.bench import Bench, artifact
from cogo_dagster_tests.executors.png import pixels

MIXED = (
    "<title>Mixed</title><body style='margin:0;background:#345'><h1 style='color:#fa0'>Text</h1>"
    "<div style='height:300px;width:300px;background:linear-gradient(45deg,red,rgba(0,0,255,.5))'></div>"
)


def test_resources_are_cached_between_documents(shared: Bench) -> None:
    """Requests are not intercepted, which would disable the HTTP cache: two documents request one script once."""
    for path in ("/first", "/second"):
        shared.site.pages[path] = "<title>Page</title><script src='/cached'></script>"
    shared.site.requests.clear()
    shared.run({"url": shared.site.url("/first"), "actions": [{"do": "goto", "url": shared.site.url("/second")}]})
    assert shared.site.requests == ["/first", "/cached", "/second"]


def test_a_tab_has_the_credential_too(shared: Bench) -> None:
    """A tab that the page opens can use the proxy."""
    shared.site.pages["/opens"] = "<a id='a' target='_blank' href='/list?tab'>x</a>"
    actions = [{"do": "click", "selector": "#a"}, {"do": "wait", "ms": 500}]
    shared.run({"url": shared.site.url("/opens"), "actions": actions})
    assert "/list?tab" in shared.site.requests


def test_a_site_that_requires_a_credential_does_not_get_the_one_of_the_proxy(shared: Bench) -> None:
    """A site's challenge is not answered: the job fails with its status."""
    error = shared.fail({"url": shared.site.url("/challenge/401")})
    assert (error.error_class, error.retryable) == ("http_status", False)
    assert "401" in error.message
    assert not {"authorization", "proxy-authorization"} & set(shared.site.headers["/challenge/401"])


def test_a_site_that_answers_as_a_proxy_does_not_revoke_the_credential(shared: Bench) -> None:
    """After an image with status 407 the job can open other pages; as a page it is a server error."""
    shared.site.pages["/image"] = "<title>Image</title><img src='/challenge/407'>"
    actions = [{"do": "goto", "url": shared.site.url("/list")}]
    assert shared.run({"url": shared.site.url("/image"), "actions": actions}).result["title"] == "List"
    assert "/challenge/407" in shared.site.requests
    error = shared.fail({"url": shared.site.url("/challenge/407")})
    assert (error.error_class, error.retryable) == ("http_status", True)
    assert "proxy-authorization" not in shared.site.headers["/challenge/407"]


@pytest.mark.parametrize("full_page", [False, True])
def test_fast_screenshots_have_the_same_pixels(shared: Bench, full_page: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast screenshot is used, and has the same pixels as Playwright's."""
    shared.site.pages["/mixed"] = MIXED
    payload: dict[str, Any] = {
        "url": shared.site.url("/mixed"),
        "full_page": full_page,
        "viewport": {"width": 200, "height": 200},
    }
    taken: list[Any] = []
    real_screenshot, real_capture = Page.screenshot, DevTools.capture

    async def screenshot(self: Page, **options: Any) -> bytes:
        taken.append("playwright")
        return await real_screenshot(self, **options)

    async def capture(self: DevTools, clip: Any) -> bytes:
        taken.append("fast")
        return await real_capture(self, clip)

    monkeypatch.setattr(Page, "screenshot", screenshot)
    monkeypatch.setattr(DevTools, "capture", capture)
    fast = pixels(artifact(shared.run(payload), "screenshot.png"))
    shared.site.pages["/mixed"] = MIXED + "<iframe hidden></iframe>"
    slow = pixels(artifact(shared.run(payload), "screenshot.png"))
    assert taken == ["fast", "playwright"]
    assert fast == slow
