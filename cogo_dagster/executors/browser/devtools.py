"""A page's own session of Chromium's protocol, for what Playwright offers only at a higher cost.

With the proxy's credential in `new_context`, Playwright intercepts every request and disables the HTTP cache. But the
browser remembers the credential of a context's proxy, so the interception of one document is enough. Even that is only
needed where the proxy cannot verify the browser's process.
"""

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from playwright.async_api import FloatRect, Page

from cogo_dagster.executors.browser.tasks import begin, ends_within
from cogo_dagster.queue.model import Json


class DevTools:
    """A session of a page; it ends with the page.

    It is opened at once, and the first command waits for it, so that a navigation need not.
    """

    def __init__(self, page: Page) -> None:
        self._opening = begin(page.context.new_cdp_session(page))
        self._challenges: set[str] = set()
        self._captures = 0

    async def authenticate(self, username: str, password: str) -> None:
        """Answer the proxy when it first requires a credential; later requests of the context have it."""
        session = await self._opening
        answer = {"response": "ProvideCredentials", "username": username, "password": password}

        def paused(event: dict[str, Any]) -> None:
            self._begin("Fetch.continueRequest", requestId=event["requestId"])

        def challenged(event: dict[str, Any]) -> None:
            request, by_proxy = event["requestId"], event["authChallenge"].get("source") == "Proxy"
            known = not by_proxy or request in self._challenges
            reply = {"response": "CancelAuth" if by_proxy else "Default"} if known else answer
            self._challenges.add(request)
            self._begin("Fetch.continueWithAuth", requestId=request, authChallengeResponse=reply)
            if not known:
                self._begin("Fetch.disable")

        session.on("Fetch.requestPaused", paused)
        session.on("Fetch.authRequired", challenged)
        await session.send(
            "Fetch.enable",
            {"handleAuthRequests": True, "patterns": [{"urlPattern": "*", "resourceType": "Document"}]},
        )

    async def evaluate(self, function: str, argument: Json) -> Any:
        """Call a function in the current document; return its value as JSON, or None if it raised an exception.

        It is sent before later commands of this session. Playwright would first compile a library in each document.
        """
        expression = f"({function})({json.dumps(argument)})"
        options = {"expression": expression, "returnByValue": True, "silent": True}
        response = await self.send("Runtime.evaluate", options)
        return None if "exceptionDetails" in response else response["result"].get("value")

    @property
    def capturing(self) -> bool:
        """Whether the browser is capturing the page."""
        return self._captures > 0

    @contextlib.contextmanager
    def capture_in_progress(self) -> Iterator[None]:
        """Count a capture of the page."""
        self._captures += 1
        try:
            yield
        finally:
            self._captures -= 1

    async def responds(self, timeout_seconds: float) -> bool:
        """Whether the page's process answers in time."""
        return await ends_within(self.evaluate("() => 0", None), timeout_seconds)

    async def capture(self, clip: FloatRect | None) -> bytes:
        """Return a PNG of the window, or of *clip*, without waiting for the page to be ready.

        The compression is fast: the file is a third larger, and takes a tenth less of a short job's CPU time.
        """
        options: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        if clip is not None:
            options |= {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True}
        with self.capture_in_progress():
            response = await self.send("Page.captureScreenshot", options)
        return base64.b64decode(response["data"])

    async def stop_loading(self) -> None:
        """Abandon a navigation whose document has not arrived; scripts can then run in the current document."""
        await self.send("Page.stopLoading", {})

    async def send(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Send a command and return its reply."""
        session = await self._opening
        return await session.send(method, parameters)

    def _begin(self, method: str, **parameters: Any) -> None:
        """Send a command whose reply is not needed; it fails if the page is closed at the same time."""
        begin(self.send(method, parameters))
