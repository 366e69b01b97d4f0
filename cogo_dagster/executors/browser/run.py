"""One attempt in a browser: a new context, the steps, the artifacts, and evidence if it fails.

The trace contains credentials, which `traces.py` removes before it is kept.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from playwright.async_api import BrowserContext, Error, ProxySettings

from cogo_dagster.executors.browser import navigation, payload
from cogo_dagster.executors.browser.artifacts import ArtifactCollector
from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.errors import DRIVER_GONE, BrowserFailure, classify, first_line, restless
from cogo_dagster.executors.browser.events import Events, PageEvents
from cogo_dagster.executors.browser.evidence import save_evidence
from cogo_dagster.executors.browser.failures import (
    blocked_reasons,
    failed,
    find_failed_hop,
    hop_failed,
    latest_failed_hop,
    response_error,
    unreachable_hosts,
)
from cogo_dagster.executors.browser.fonts import boxes_note
from cogo_dagster.executors.browser.headers import browser_cookies
from cogo_dagster.executors.browser.last_document import checked_status
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.executors.browser.steps import PageSession, describe, perform
from cogo_dagster.executors.browser.tasks import StepTimeout, ends_within, skip_stacks, unless_broken
from cogo_dagster.formatting.browser_evidence import FILE_NAME, BrowserEvidence, TimedStep
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ForwardProxy, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable

CLOSE_TIMEOUT_SECONDS = 3.5
TRACE_TIMEOUT_SECONDS = 4
REPLY_TIMEOUT_SECONDS = 0.5
MAX_RESULT_CHARS = 16_000

UNDIAGNOSED = frozenset({"aborted", "invalid_url", "timeout"})
"""Error classes of navigations for which `navigation.py` may find the cause."""
CHANGING_ACTIONS = (payload.Click, payload.Fill, payload.Press, payload.Select, payload.WaitFor, payload.Wait)
"""Actions after which a page may have more lazy content."""

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]


class BrowserAttempt:
    """Runs one payload once.

    Args:
        running: The browser to run it in.
        proxy: The proxy for all requests; *session* has its credentials.
        nav_timeout_ms: Timeout of a step for which the payload has none.
        without_glyphs: Scripts that are rendered as boxes on this machine.
        traced: Whether a trace is recorded; it is kept if the attempt fails or the payload requests it.
        ends_soon: Called before the final steps.
    """

    def __init__(
        self,
        running: RunningBrowser,
        request: payload.BrowserPayload,
        collector: ArtifactCollector,
        *,
        proxy: ForwardProxy,
        session: ProxySession,
        nav_timeout_ms: int,
        traced: bool,
        without_glyphs: tuple[str, ...] = (),
        ends_soon: Callable[[], None],
    ) -> None:
        self._running = running
        self._ends_soon = ends_soon
        self._request = request
        self._collector = collector
        self._proxy = proxy
        self._session = session
        self._without_glyphs = without_glyphs
        self._traced = traced
        self._timeout_ms = request.timeout_ms or nav_timeout_ms
        self._context: BrowserContext | None = None
        self._page_session: PageSession | None = None
        self._steps: list[TimedStep] = []
        self._operation = "start"
        self._abandoned = False
        self._evidence = False

    async def run(self) -> Json:
        """Run all steps and return the JSON result.

        Raises:
            ExecutionFailed: A step failed; the evidence has been collected.
        """
        skip_stacks(asyncio.current_task())
        try:
            page_session = await self._step("open a browser context", self._open_context())
            try:
                await self._run_steps(page_session)
                return await self._result(page_session)
            except ExecutionFailed as error:
                await self.collect_evidence(error)
                raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the context with its pages; a browser in which this hangs gets no further job."""
        context, self._context = self._context, None
        if self._page_session is not None:
            self._running.pages.discard(self._page_session)
        timeout_seconds = CLOSE_TIMEOUT_SECONDS if self._running.alive else REPLY_TIMEOUT_SECONDS
        if context is not None and not await ends_within(context.close(), timeout_seconds):
            self._running.unhealthy = True

    async def abandon(self, work: "asyncio.Task[Json]") -> None:
        """End *work*, the task of `run`, by closing its context; kill the browser if that hangs."""
        self._abandoned = True
        if self._running.ended() is not None:
            return  # closing the driver of the browser, which has ended, ends the task
        await self.close()
        if self._running.unhealthy:
            self._running.kill()
        await asyncio.wait({work}, timeout=REPLY_TIMEOUT_SECONDS)
        # A navigation that ends while its context closes never returns in Playwright 1.65: its reply refers to an
        # object that no longer exists. No call is in progress any more, so this cancels none.
        work.cancel()
        await self._running.flush_stale_error()

    def ended(self) -> ExecutionFailed | None:
        """Return the failure of the attempt if its browser has ended."""
        failure = self._running.ended()
        return failed(self._operation, failure) if failure else None

    async def collect_evidence(self, error: ExecutionFailed) -> None:
        """Collect as much evidence of the failure as possible, and add the notes to the error."""
        page_session = self._page_session
        if page_session is None or self._evidence:
            return
        self._evidence = True  # a failed step and the time limit can both call this
        _, missing, seen = await asyncio.gather(
            self._save_trace(), save_evidence(self._running, page_session, self._collector), self._seen(page_session)
        )
        record = self._record(page_session, seen, missing)
        with contextlib.suppress(ExecutionFailed):
            self._collector.add_json(FILE_NAME, record.model_dump(mode="json", exclude_none=True))
        absent = (f"{name} is missing: {reason}" for name, reason in missing.items())
        error.detail = "\n".join(filter(None, (error.detail, *record.notes, *absent)))

    def _record(
        self, page_session: PageSession, seen: PageEvents, missing: Mapping[str, str] | None = None
    ) -> BrowserEvidence:
        """Return the steps, notes and errors of the attempt."""
        return BrowserEvidence(
            steps=tuple(self._steps),
            notes=(*page_session.notes, *seen.notes),
            refused=tuple(blocked_reasons(self._session)),
            console_errors=seen.console_errors,
            page_errors=seen.page_errors,
            failed_requests=(
                *seen.failed_requests,
                *page_session.failed_resources,
                *unreachable_hosts(self._session),
            ),
            missing=missing or {},
        )

    async def _seen(self, page_session: PageSession) -> PageEvents:
        """Return what the page did; a driver that does not respond gets no further job."""
        if self._running.ended() is not None:
            return PageEvents()
        seen = await page_session.events.record()
        if page_session.events.unresponsive:
            self._running.unhealthy = True
        return seen

    async def _save_trace(self) -> None:
        """Save trace.zip, if the browser responds."""
        if self._context is None or not self._traced or self._running.ended() is not None:
            return
        await ends_within(self._context.tracing.stop(path=self._collector.path("trace.zip")), TRACE_TIMEOUT_SECONDS)
        with contextlib.suppress(ExecutionFailed, FileNotFoundError):
            self._collector.take("trace.zip")

    async def _open_context(self) -> PageSession:
        request, verified = self._request, self._running.verifies_connections
        url = await self._proxy.open_port(self._session, self._running.has_connection) if verified else self._proxy.url
        proxy: ProxySettings = {"server": url, "bypass": "<-loopback>"}
        options = payload.context_options(request)
        context = self._context = await self._running.browser.new_context(proxy=proxy, **options)
        if self._abandoned:
            raise StepTimeout("The attempt was abandoned.")
        context.set_default_timeout(self._timeout_ms)
        if self._traced:
            await context.tracing.start(screenshots=True, snapshots=True, sources=False)
        if request.cookies:
            await context.add_cookies(browser_cookies(request.url, request.cookies))
        page = await context.new_page()
        devtools = DevTools(page)
        if not verified:
            await devtools.authenticate(self._session.username, self._session.password)
        events = Events(context, page, accept_dialogs=request.dialogs == "accept", interactive=bool(request.actions))
        self._page_session = PageSession(
            page, devtools, self._session, self._collector, self._timeout_ms, request.wait_until, events
        )
        self._page_session.scrolls = request.scroll
        self._page_session.without_glyphs = self._without_glyphs
        self._page_session.saves_html = request.html
        self._running.pages.add(self._page_session)
        return self._page_session

    async def _run_steps(self, page_session: PageSession) -> None:
        request = self._request
        first = payload.Goto(do="goto", url=request.url)
        for step in (first, *request.actions):
            await self._step(describe(step), perform(page_session, step))
        page_session.changed = any(isinstance(step, CHANGING_ACTIONS) for step in request.actions)
        if request.scroll and page_session.changed:
            await self._step("scroll", page_session.scroll(self._timeout_ms))
        page_session.finishing = True
        self._ends_soon()
        failures: list[ExecutionFailed] = []
        for operation, work in self._final_steps(page_session):
            try:
                await self._step(operation, work())
            except ExecutionFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _final_steps(self, page_session: PageSession) -> list[tuple[str, Work]]:
        """Return the steps that save artifacts at the end; all of them run even if one fails."""
        request, timeout_ms = self._request, self._timeout_ms
        steps: list[tuple[bool | None, str, Work]] = [
            (bool(page_session.extracted), "extract", page_session.save_extracted),
            (
                request.screenshot,
                "screenshot",
                lambda: page_session.screenshot("screenshot", full_page=request.full_page, timeout_ms=timeout_ms),
            ),
            (request.html, "html", lambda: page_session.html(timeout_ms)),
            (request.pdf, "pdf", lambda: page_session.pdf("page", timeout_ms=timeout_ms)),
        ]
        return [(operation, work) for wanted, operation, work in steps if wanted]

    async def _step(self, operation: str, work: Coroutine[Any, Any, T]) -> T:
        """Run and time one step, and classify its error."""
        self._operation = operation
        before, started, changes = latest_failed_hop(self._session), time.monotonic(), self._changes()
        reason: str | None = None
        try:
            return await (work if self._page_session is None else unless_broken(work, self._page_session.events.broken))
        except ExecutionFailed as error:
            reason = error.message
            raise
        except Exception as error:
            reason = first_line(str(error))
            # Playwright raises a plain Exception if its driver ends, sometimes before the process is gone.
            if not (isinstance(error, Error | StepTimeout) or DRIVER_GONE.search(str(error))):
                raise
            failure = await self._classify(operation, str(error), before, self._changes() - changes)
            reason = failure.message
            raise failure from error
        finally:
            duration_ms = round((time.monotonic() - started) * 1000)
            self._steps.append(TimedStep(step=operation, duration_ms=duration_ms, error=reason and storable(reason)))

    async def _classify(
        self, operation: str, message: str, before: HopFailed | None, navigations: int
    ) -> ExecutionFailed:
        failure = self._running.ended() or classify(message)
        if failure.error_class in ("connection", "network"):
            hop = find_failed_hop(self._session, self._request.url, before, self._failed_url())
            if hop is not None:
                return hop_failed(operation, hop)
        broken = self._page_session.events.broken if self._page_session is not None else None
        if broken is not None and broken.done() and self._running.ended() is None:
            failure = classify(broken.result())
        elif (diagnosed := await self._diagnose(operation, message, failure, navigations)) is not None:
            return diagnosed
        if failure.error_class == "page_crash":
            failure = self._running.cause_of_crash() or failure
        return failed(operation, failure, detail=message)

    async def _diagnose(
        self, operation: str, message: str, failure: BrowserFailure, navigations: int
    ) -> ExecutionFailed | None:
        """Return the error for a failure whose cause the browser's message does not contain, if it can be found."""
        page_session = self._page_session
        if page_session is None or self._running.ended() is not None:
            return None
        page, events = page_session.page, page_session.events
        if failure.error_class == "download" and (found := await navigation.failed_download(page)) is not None:
            return response_error(operation, *found)
        known: BrowserFailure | None = None
        if operation.startswith("goto ") and failure.error_class in UNDIAGNOSED:
            wait_until = re.search(r'waiting until "(\w+)"', message)
            state = wait_until[1] if wait_until else self._request.wait_until
            known = await navigation.diagnose(page, events, message, state, proxy=self._proxy, session=self._session)
        elif failure.error_class == "timeout":
            if navigations >= navigation.MANY_NAVIGATIONS <= len(await navigation.document_requests(page)):
                known = restless(navigations, message)
            else:
                known = await navigation.diagnose_timeout(page, events, message)
        return failed(operation, known, detail=message) if known is not None else None

    def _changes(self) -> int:
        return self._page_session.events.changes if self._page_session is not None else 0

    def _failed_url(self) -> str | None:
        request = self._page_session.events.failed if self._page_session is not None else None
        return request.url if request is not None else None

    async def _result(self, page_session: PageSession) -> Json:
        document = await self._step("title", page_session.last_document())
        url = page_session.page.url
        status = await checked_status(page_session, document, url, self._proxy)
        if self._request.trace:
            await self._save_trace()
        # The driver answers in order: the page is closed without waiting for what the driver has recorded of it.
        seen, _ = await asyncio.gather(self._seen(page_session), self.close())
        if document.boxed:
            page_session.note(boxes_note(document.boxed))
        return {
            "mode": "browser",
            "url": page_session.storable("url", url[:2_000]),
            "status": status,
            "title": page_session.storable("title", document.title[:500]),
            "browser": self._running.browser.version,
            "extracted": truncated(page_session.extracted),
            **self._record(page_session, seen).model_dump(mode="json", exclude_none=True),
        }


def truncated(extracted: dict[str, Json]) -> Json:
    """Return the extracted values if they fit in a row; extracted.json always has all of them."""
    return extracted if len(json.dumps(extracted)) <= MAX_RESULT_CHARS else {"truncated": sorted(extracted)}
