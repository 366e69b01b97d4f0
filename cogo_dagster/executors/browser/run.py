"""One attempt in a browser: a fresh context, the steps, the artifacts, and a trace if it fails.

The trace holds what the page saw; `traces.py` takes its credentials out before it is kept.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from playwright.async_api import BrowserContext, Error, ProxySettings

from cogo_dagster.executors.browser import payload as asked
from cogo_dagster.executors.browser.artifacts import Shelf
from cogo_dagster.executors.browser.errors import classify
from cogo_dagster.executors.browser.failures import failed, failure_behind, hop_failed, newest_failure
from cogo_dagster.executors.browser.fonts import boxed_scripts, boxes_note
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.executors.browser.steps import Visit, describe, perform
from cogo_dagster.executors.browser.tasks import StepTimeout, bounded, read_error, settled
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json

CLOSE_SECONDS = 5
EVIDENCE_SECONDS = 5
REPLY_SECONDS = 1
MAX_RESULT_CHARS = 16_000

T = TypeVar("T")


class Attempt:
    """One run of one payload.

    Args:
        running: The browser to run it in.
        proxy_url: The proxy's address; *session* holds the credentials.
        nav_timeout_ms: Longest wait of a step where the payload names none.
        without_glyphs: Scripts that this machine shows as boxes.
    """

    def __init__(
        self,
        running: RunningBrowser,
        request: asked.BrowserPayload,
        shelf: Shelf,
        *,
        proxy_url: str,
        session: ProxySession,
        nav_timeout_ms: int,
        without_glyphs: tuple[str, ...] = (),
    ) -> None:
        self._running = running
        self._request = request
        self._shelf = shelf
        self._proxy_url = proxy_url
        self._session = session
        self._without_glyphs = without_glyphs
        self._timeout_ms = request.timeout_ms or nav_timeout_ms
        self._context: BrowserContext | None = None
        self._steps: list[Json] = []
        self._doing = "start"
        self._abandoned = False

    async def run(self) -> Json:
        """Do all steps; return the small JSON result.

        Raises:
            ExecutionFailed: A step failed; the evidence is on the shelf.
        """
        try:
            visit = await self._step("open a browser context", self._begin())
            try:
                await self._all_steps(visit)
            except ExecutionFailed:
                await self._keep_evidence(visit)
                raise
            return await self._result(visit)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the context and with it every page; a browser in which that hangs serves no further job."""
        context, self._context = self._context, None
        if context is not None and not await settled(context.close(), CLOSE_SECONDS):
            self._running.suspect = True

    async def abandon(self, work: "asyncio.Task[Json]") -> None:
        """End *work*, the task of `run`, by closing its context under it; kill the browser if that hangs."""
        self._abandoned = True
        work.add_done_callback(read_error)
        if self._running.died() is not None:
            return  # closing the dead browser's driver will end it
        await self.close()
        if self._running.suspect:
            self._running.kill()
        await asyncio.wait({work}, timeout=REPLY_SECONDS)
        # A navigation that ends while its context closes never returns in Playwright 1.65: its reply names an object
        # that is gone already. Nothing is under way any more, so this cancels no call.
        work.cancel()
        await self._running.absorb_error()

    def died(self) -> ExecutionFailed | None:
        """How the attempt fails because its browser died, if it did."""
        verdict = self._running.died()
        return failed(self._doing, verdict) if verdict else None

    async def keep_trace(self) -> None:
        """Put trace.zip on the shelf, if it can be had."""
        if self._context is None:
            return
        await settled(self._context.tracing.stop(path=self._shelf.path("trace.zip")), EVIDENCE_SECONDS)
        with contextlib.suppress(ExecutionFailed, FileNotFoundError):
            self._shelf.take("trace.zip")

    async def _begin(self) -> Visit:
        proxy: ProxySettings = {
            "server": self._proxy_url,
            "bypass": "<-loopback>",
            "username": self._session.username,
            "password": self._session.password,
        }
        options = context_options(self._request)
        context = self._context = await self._running.browser.new_context(proxy=proxy, **options)
        if self._abandoned:
            raise StepTimeout("The attempt was abandoned.")
        context.set_default_timeout(self._timeout_ms)
        await context.tracing.start(screenshots=True, snapshots=True, sources=False)
        page = await context.new_page()
        return Visit(page, self._session, self._shelf, self._timeout_ms, self._request.wait_until)

    async def _all_steps(self, visit: Visit) -> None:
        request = self._request
        first = asked.Goto(do="goto", url=request.url)
        for step in (first, *request.actions):
            await self._step(describe(step), perform(visit, step))
        await self._step("extract", self._keep_extracted(visit))
        if request.screenshot:
            picture = visit.screenshot("screenshot", full_page=request.full_page, timeout_ms=self._timeout_ms)
            await self._step("screenshot", picture)
        if request.html:
            await self._step("html", visit.html())
        if request.pdf:
            await self._step("pdf", visit.pdf("page", timeout_ms=self._timeout_ms))

    async def _keep_extracted(self, visit: Visit) -> None:
        if visit.extracted:
            self._shelf.add_json("extracted.json", visit.extracted)

    async def _step(self, doing: str, work: Coroutine[Any, Any, T]) -> T:
        """Time one step, and judge what it raises."""
        self._doing = doing
        before, started = newest_failure(self._session), time.monotonic()
        try:
            return await work
        except (Error, StepTimeout) as error:
            raise self._judge(doing, str(error), before) from error
        finally:
            self._steps.append({"step": doing, "duration_ms": round((time.monotonic() - started) * 1000)})

    def _judge(self, doing: str, message: str, before: HopFailed | None) -> ExecutionFailed:
        verdict = self._running.died() or classify(message)
        if verdict.error_class in ("connection", "network"):
            hop = failure_behind(self._session, self._request.url, before)
            if hop is not None:
                return hop_failed(doing, hop)
        return failed(doing, verdict, detail=message)

    async def _keep_evidence(self, visit: Visit) -> None:
        if self._running.died() is None:
            await self.keep_trace()
        if self._running.died() is None and "screenshot.png" not in self._shelf:
            with contextlib.suppress(Error, StepTimeout, ExecutionFailed):
                await visit.screenshot("screenshot", full_page=False, timeout_ms=EVIDENCE_SECONDS * 1000)

    async def _result(self, visit: Visit) -> Json:
        found = await self._step("title", bounded(visit.page.title(), self._timeout_ms / 1000))
        title = visit.storable("title", found[:500])
        await self._note_boxes(visit)
        return {
            "mode": "browser",
            "url": visit.storable("url", visit.page.url[:2_000]),
            "status": visit.status,
            "title": title,
            "browser": self._running.browser.version,
            "steps": self._steps,
            "extracted": small(visit.extracted),
            "refused": refusals(self._session),
            "notes": visit.notes,
        }

    async def _note_boxes(self, visit: Visit) -> None:
        """Say which text of the page is boxes; without this note if the page does not answer."""
        with contextlib.suppress(Error, StepTimeout):
            boxes = await bounded(boxed_scripts(visit.page, self._without_glyphs), EVIDENCE_SECONDS)
            if boxes:
                visit.notes.append(boxes_note(boxes))


def context_options(request: asked.BrowserPayload) -> dict[str, Any]:
    """Return the arguments of `new_context`: what the payload asked for, and what no page may have."""
    options = {
        "viewport": request.viewport.model_dump(),
        "user_agent": request.user_agent,
        "locale": request.locale,
        "timezone_id": request.timezone,
        "color_scheme": request.color_scheme,
        "extra_http_headers": request.extra_headers or None,
    }
    return {
        **{name: value for name, value in options.items() if value is not None},
        "accept_downloads": False,
        "service_workers": "block",
        "permissions": [],
    }


def small(extracted: dict[str, Json]) -> Json:
    """Return what was extracted if it fits a row; it is whole in extracted.json in any case."""
    return extracted if len(json.dumps(extracted)) <= MAX_RESULT_CHARS else {"truncated": sorted(extracted)}


def refusals(session: ProxySession) -> list[str]:
    """Return why hosts were refused that the page asked for on its own, each once, at most ten."""
    sentences = [hop.sentence for hop in session.failures if hop.kind == "blocked_address"]
    return list(dict.fromkeys(sentences))[:10]
