"""The proxy's credential is sent once per job, and fast screenshots show the same as others."""

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from playwright.async_api import Page

from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.queue.model import ExecutionResult
from cogo_dagster_tests.executors.bench import Bench, artifact
from cogo_dagster_tests.executors.png import pixels

MIXED = (
    "<title>Mixed</title><body style='margin:0;background:#345'><h1 style='color:#fa0'>Text</h1>"
    "<div style='height:150px;width:150px;background:linear-gradient(45deg,red,rgba(0,0,255,.5))'></div>"
)


@pytest.fixture(params=["verified", "with a credential"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of using the proxy: the second one is for systems on which processes cannot be verified."""
    if request.param != "verified":
        monkeypatch.setattr(RunningBrowser, "verifies_connections", False)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_resources_are_cached_and_a_tab_has_the_credential(shared: Bench) -> None:
    """Two documents request one script once, and a tab that the page opens can use the proxy.

    Requests are not intercepted, which would disable the HTTP cache.
    """
    icon = "<link rel='icon' href='data:,'>"  # a full Chromium requests /favicon.ico otherwise
    page = f"<title>Page</title>{icon}<script src='/cached'></script>"
    shared.site.pages["/first"] = f"{page}<a id='a' target='_blank' href='/tab'>x</a>"
    shared.site.pages |= {"/second": page, "/tab": icon}
    shared.site.requests.clear()
    click = [{"do": "click", "selector": "#a"}, {"do": "wait", "ms": 300}]
    actions = [*click, {"do": "goto", "url": shared.site.url("/second")}]
    shared.run({"url": shared.site.url("/first"), "actions": actions})
    assert shared.site.requests == ["/first", "/cached", "/tab", "/second"]


@pytest.mark.usefixtures("way")
def test_a_site_that_requires_a_credential_does_not_get_the_one_of_the_proxy(shared: Bench) -> None:
    """A site's challenge is not answered: the job fails with its status."""
    error = shared.fail({"url": shared.site.url("/challenge/401")})
    assert (error.error_class, error.retryable) == ("http_status", False)
    assert "401" in error.message
    assert not {"authorization", "proxy-authorization"} & set(shared.site.headers["/challenge/401"])


@pytest.mark.usefixtures("way")
def test_a_site_that_answers_as_a_proxy_does_not_revoke_the_credential(shared: Bench) -> None:
    """After an image with status 407 the job can open other pages; as a page it is a server error."""
    shared.site.pages["/image"] = "<title>Image</title><img src='/challenge/407'>"
    shared.site.requests.clear()
    actions = [{"do": "goto", "url": shared.site.url(path)} for path in ("/list", "/challenge/407")]
    error = shared.fail({"url": shared.site.url("/image"), "actions": actions})
    assert (error.error_class, error.retryable) == ("http_status", True)
    assert error.message.startswith(f"goto {shared.site.url('/challenge/407')}: ")
    opened = [path for path in shared.site.requests if path != "/favicon.ico"]
    assert opened == ["/image", "/challenge/407", "/list", "/challenge/407"]
    assert "proxy-authorization" not in shared.site.headers["/challenge/407"]


@pytest.mark.linux("the kernel is asked for the owner of a socket")
def test_another_program_cannot_use_the_port_of_a_job(shared: Bench) -> None:
    """While a job runs, a program that knows its port needs the credential, and the job is not disturbed."""
    shared.run({"url": shared.site.url()})  # the browser has started its network process
    assert shared.running.verifies_connections
    opened, answers = [], []
    open_port = shared.executor._proxy.open_port

    async def noted(*arguments: Any) -> str:
        opened.append(await open_port(*arguments))
        return opened[-1]

    shared.site.reached.clear()

    async def scenario() -> ExecutionResult:
        with patch.object(shared.executor._proxy, "open_port", noted):
            actions = [{"do": "wait", "ms": 1_000}, {"do": "goto", "url": shared.site.url("/list")}]
            job = asyncio.create_task(shared.attempt({"url": shared.site.url("/wait"), "actions": actions}))

            assert await asyncio.to_thread(shared.site.reached.wait, 20)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(opened[0].rpartition(":")[2]))
            writer.write(f"GET {shared.site.url('/secret')} HTTP/1.1\r\n\r\n".encode())
            answers.append(await asyncio.wait_for(reader.readline(), 10))
            writer.close()
            found: ExecutionResult = await job
            return found

    assert shared.do(scenario()).result["title"] == "List"
    assert answers[0].startswith(b"HTTP/1.1 407 ")
    assert "/secret" not in shared.site.requests


@pytest.mark.parametrize("full_page", [False, True])
def test_fast_screenshots_have_the_same_pixels(shared: Bench, full_page: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast screenshot is used, and has the same pixels as Playwright's."""
    shared.site.pages["/mixed"] = MIXED
    payload: dict[str, Any] = {
        "url": shared.site.url("/mixed"),
        "screenshot": True,
        "full_page": full_page,
        "viewport": {"width": 100, "height": 100},
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
    for _ in range(3):  # on a busy machine Chromium has nothing to capture at first: Playwright captures then
        taken.clear()
        fast = pixels(artifact(shared.run(payload), "screenshot.png"))
        if taken == ["fast"]:
            break
    shared.site.pages["/mixed"] = MIXED + "<iframe hidden></iframe>"
    slow = pixels(artifact(shared.run(payload), "screenshot.png"))
    assert taken == ["fast", "playwright"]
    assert fast == slow


@pytest.mark.parametrize("changing", [False, True])
def test_the_html_is_requested_together_with_the_screenshot(
    shared: Bench, changing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is not kept open for one after the other; HTML from before a navigation is not kept."""
    shared.site.pages["/mixed"] = MIXED
    requested = asyncio.Event()
    real_content, real_capture = Page.content, DevTools.capture

    async def content(self: Page) -> str:
        html = await real_content(self)
        requested.set()
        return html

    async def capture(self: DevTools, clip: Any) -> bytes:
        await asyncio.wait_for(requested.wait(), 10)
        if changing:
            change = "history.pushState(0, '', '#after'); document.body.append('changed')"
            await self.send("Runtime.evaluate", {"expression": change})
        return await real_capture(self, clip)

    monkeypatch.setattr(Page, "content", content)
    monkeypatch.setattr(DevTools, "capture", capture)
    found = shared.run({"url": shared.site.url("/mixed"), "screenshot": True})
    assert (b"changed" in artifact(found, "page.html")) == changing
    assert [step["step"] for step in found.result["steps"]][-3:] == ["screenshot", "html", "title"]
