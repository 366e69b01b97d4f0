"""One attempt in a browser: a new context, the steps, the artifacts, and evidence if it fails.

The trace contains credentials, which `traces.py` removes before it is kept.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from playwright.async_api import BrowserContext, Error, ProxySettings

from cogo_dagster.executors.browser import payload as asked
from cogo_dagster.executors.browser.artifacts import Shelf
from cogo_dagster.executors.browser.errors import DRIVER_GONE, Verdict, classify, first_line
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.failures import (
    check_document,
    failed,
    failure_behind,
    hop_failed,
    newest_failure,
)
from cogo_dagster.executors.browser.fonts import boxed_scripts, boxes_note
from cogo_dagster.executors.browser.navigation import explained
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.executors.browser.steps import Visit, describe, perform
from cogo_dagster.executors.browser.tasks import StepTimeout, bounded, read_error, settled, unless
from cogo_dagster.net.dial import HopFailed
from cogo_dagster.net.proxy import ForwardProxy, ProxySession
from cogo_dagster.queue.executor import ExecutionFailed
from cogo_dagster.queue.model import Json

CLOSE_SECONDS = 5
EVIDENCE_SECONDS = 5
EVIDENCE_MS = EVIDENCE_SECONDS * 1000
REPLY_SECONDS = 1
MAX_RESULT_CHARS = 16_000

UNEXPLAINED = frozenset({"aborted", "invalid_url", "timeout"})
"""Error classes of navigations for which `navigation.py` may find the cause."""
CHANGES = (asked.Click, asked.Fill, asked.Press, asked.Select, asked.WaitFor, asked.Wait)
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
        traced: Whether a trace is recorded; it is kept if the attempt fails or the payload asks for it.
    """

    def __init__(
        self,
        running: RunningBrowser,
        request: asked.BrowserPayload,
        shelf: Shelf,
        *,
        proxy: ForwardProxy,
        session: ProxySession,
        nav_timeout_ms: int,
        traced: bool,
        without_glyphs: tuple[str, ...] = (),
    ) -> None:
        self._running = running
        self._request = request
        self._shelf = shelf
        self._proxy = proxy
        self._session = session
        self._without_glyphs = without_glyphs
        self._traced = traced
        self._timeout_ms = request.timeout_ms or nav_timeout_ms
        self._context: BrowserContext | None = None
        self._visit: Visit | None = None
        self._steps: list[Json] = []
        self._doing = "start"
        self._abandoned = False
        self._evidence = False

    async def run(self) -> Json:
        """Run all steps and return the JSON result.

        Raises:
            ExecutionFailed: A step failed; the evidence has been collected.
        """
        try:
            visit = await self._step("open a browser context", self._begin())
            try:
                await self._all_steps(visit)
                return await self._result(visit)
            except ExecutionFailed as error:
                await self.keep_evidence(error)
                raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the context with its pages; a browser in which this hangs gets no further job."""
        context, self._context = self._context, None
        if context is not None and not await settled(context.close(), CLOSE_SECONDS):
            self._running.suspect = True

    async def abandon(self, work: "asyncio.Task[Json]") -> None:
        """End *work*, the task of `run`, by closing its context; kill the browser if that hangs."""
        self._abandoned = True
        work.add_done_callback(read_error)
        if self._running.died() is not None:
            return  # closing the dead browser's driver ends it
        await self.close()
        if self._running.suspect:
            self._running.kill()
        await asyncio.wait({work}, timeout=REPLY_SECONDS)
        # A navigation that ends while its context closes never returns in Playwright 1.65: its reply refers to an
        # object that no longer exists. No call is in progress any more, so this cancels none.
        work.cancel()
        await self._running.absorb_error()

    def died(self) -> ExecutionFailed | None:
        """Return the failure of the attempt if its browser died."""
        verdict = self._running.died()
        return failed(self._doing, verdict) if verdict else None

    async def keep_evidence(self, error: ExecutionFailed) -> None:
        """Collect as much evidence of the failure as possible, and add the notes to the error."""
        visit = self._visit
        if visit is None or self._evidence:
            return
        self._evidence = True  # a failed step and the time limit can both call this
        if self._running.died() is None:
            await self._keep_trace()
        # Concurrently: if the page hangs, each of them takes its whole timeout.
        tries = [asyncio.ensure_future(self._why_missing(*step)) for step in self._evidence_steps(visit)]
        await asyncio.wait(tries)
        record = await self._record(visit)
        record["notes"] += filter(None, (tried.result() for tried in tries))
        with contextlib.suppress(ExecutionFailed):
            self._shelf.add_json("evidence.json", record)
        error.detail = "\n".join(filter(None, (error.detail, *record["notes"])))

    def _evidence_steps(self, visit: Visit) -> Iterator[tuple[str, Work]]:
        yield "extracted.json", lambda: self._keep_extracted(visit)
        yield "screenshot.png", lambda: visit.screenshot("screenshot", full_page=False, timeout_ms=EVIDENCE_MS)
        yield "page.html", lambda: visit.html(EVIDENCE_MS)

    async def _why_missing(self, name: str, keep: Work) -> str | None:
        """Save one file of the evidence, or return a note on why it is missing."""
        if name in self._shelf:
            return None
        dead = self._running.died()
        if dead is not None:
            return f"{name} is missing: {dead.sentence}."
        try:
            await keep()
        except Exception as reason:  # noqa: BLE001 - Playwright raises a plain Exception if its driver dies
            return f"{name} is missing: {first_line(str(reason))}."
        return None

    async def _record(self, visit: Visit) -> dict[str, Any]:
        """Return the steps, notes and errors of the attempt."""
        notes = list(visit.notes)
        errors: dict[str, Json] = {}
        if self._running.died() is None:
            seen, errors = await visit.events.record()
            notes += seen
            errors["failed_requests"] += unreached(self._session)
        return {"steps": self._steps, "refused": refusals(self._session), "notes": notes, **errors}

    async def _keep_trace(self) -> None:
        """Save trace.zip, if the browser responds."""
        if self._context is None or not self._traced:
            return
        await settled(self._context.tracing.stop(path=self._shelf.path("trace.zip")), EVIDENCE_SECONDS)
        with contextlib.suppress(ExecutionFailed, FileNotFoundError):
            self._shelf.take("trace.zip")

    async def _begin(self) -> Visit:
        proxy: ProxySettings = {
            "server": self._proxy.url,
            "bypass": "<-loopback>",
            "username": self._session.username,
            "password": self._session.password,
        }
        request = self._request
        options = context_options(request)
        context = self._context = await self._running.browser.new_context(proxy=proxy, **options)
        if self._abandoned:
            raise StepTimeout("The attempt was abandoned.")
        context.set_default_timeout(self._timeout_ms)
        if self._traced:
            await context.tracing.start(screenshots=True, snapshots=True, sources=False)
        if request.cookies:
            await context.add_cookies(
                [{"name": name, "value": value, "url": request.url} for name, value in request.cookies.items()]
            )
        page = await context.new_page()
        events = Events(context, page, accept_dialogs=request.dialogs == "accept")
        self._visit = Visit(page, self._session, self._shelf, self._timeout_ms, request.wait_until, events)
        self._visit.scrolls = request.scroll
        return self._visit

    async def _all_steps(self, visit: Visit) -> None:
        request = self._request
        first = asked.Goto(do="goto", url=request.url)
        for step in (first, *request.actions):
            await self._step(describe(step), perform(visit, step))
        if request.scroll and any(isinstance(step, CHANGES) for step in request.actions):
            await self._step("scroll", visit.scroll(self._timeout_ms))
        failures: list[ExecutionFailed] = []
        for doing, work in self._last_steps(visit):
            try:
                await self._step(doing, work())
            except ExecutionFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _last_steps(self, visit: Visit) -> list[tuple[str, Work]]:
        """Return the steps that save artifacts at the end; all of them run even if one fails."""
        request, timeout_ms = self._request, self._timeout_ms
        steps: list[tuple[bool | None, str, Work]] = [
            (True, "extract", lambda: self._keep_extracted(visit)),
            (
                request.screenshot,
                "screenshot",
                lambda: visit.screenshot("screenshot", full_page=request.full_page, timeout_ms=timeout_ms),
            ),
            (request.html, "html", lambda: visit.html(timeout_ms)),
            (request.pdf, "pdf", lambda: visit.pdf("page", timeout_ms=timeout_ms)),
        ]
        return [(doing, work) for wanted, doing, work in steps if wanted]

    async def _keep_extracted(self, visit: Visit) -> None:
        if visit.extracted:
            self._shelf.add_json("extracted.json", visit.extracted)

    async def _step(self, doing: str, work: Coroutine[Any, Any, T]) -> T:
        """Run and time one step, and classify its error."""
        self._doing = doing
        before, started = newest_failure(self._session), time.monotonic()
        try:
            return await (work if self._visit is None else unless(work, self._visit.events.broken))
        except ExecutionFailed:
            raise
        except Exception as error:
            # Playwright raises a plain Exception if its driver dies, sometimes before the process is gone.
            if not (isinstance(error, Error | StepTimeout) or DRIVER_GONE.search(str(error))):
                raise
            raise await self._judge(doing, str(error), before) from error
        finally:
            self._steps.append({"step": doing, "duration_ms": round((time.monotonic() - started) * 1000)})

    async def _judge(self, doing: str, message: str, before: HopFailed | None) -> ExecutionFailed:
        verdict = self._running.died() or classify(message)
        if verdict.error_class in ("connection", "network"):
            hop = failure_behind(self._session, self._request.url, before)
            if hop is not None:
                return hop_failed(doing, hop)
        broken = self._visit.events.broken if self._visit is not None else None
        if broken is not None and broken.done() and self._running.died() is None:
            verdict = classify(broken.result())
        elif doing.startswith("goto ") and verdict.error_class in UNEXPLAINED:
            verdict = await self._explained(message) or verdict
        return failed(doing, verdict, detail=message)

    async def _explained(self, message: str) -> Verdict | None:
        if self._visit is None or self._running.died() is not None:
            return None
        wait_until = re.search(r'waiting until "(\w+)"', message)
        return await explained(
            self._visit.events,
            message,
            wait_until[1] if wait_until else self._request.wait_until,
            proxy=self._proxy,
            session=self._session,
        )

    async def _result(self, visit: Visit) -> Json:
        title, status = await self._step("title", visit.document())
        url = visit.page.url
        status = (status or visit.status) if url.startswith("http") else None
        if visit.events.broken.done():
            raise failed(f"the last document, {url[:300]}", classify(visit.events.broken.result()))
        check_document(url, status, self._session)
        await self._note_boxes(visit)
        found: Json = {
            "mode": "browser",
            "url": visit.storable("url", url[:2_000]),
            "status": status,
            "title": visit.storable("title", title[:500]),
            "browser": self._running.browser.version,
            "extracted": small(visit.extracted),
        }
        found |= await self._record(visit)
        if self._request.trace:
            await self._keep_trace()
        return found

    async def _note_boxes(self, visit: Visit) -> None:
        """Note the scripts that are rendered as boxes, unless the page does not respond."""
        with contextlib.suppress(Error, StepTimeout):
            boxes = await bounded(boxed_scripts(visit.page, self._without_glyphs), EVIDENCE_SECONDS)
            if boxes:
                visit.note(boxes_note(boxes))


def context_options(request: asked.BrowserPayload) -> dict[str, Any]:
    """Return the arguments of `new_context`: those of the payload, and restrictions for every page."""
    headers = {name: value for name, value in request.extra_headers.items() if name.lower() != "cookie"}
    options = {
        "viewport": request.viewport.model_dump(),
        "user_agent": request.user_agent,
        "locale": request.locale,
        "timezone_id": request.timezone,
        "color_scheme": request.color_scheme,
        "extra_http_headers": headers or None,
    }
    return {
        **{name: value for name, value in options.items() if value is not None},
        "accept_downloads": False,
        "service_workers": "block",
        "permissions": [],
    }


def small(extracted: dict[str, Json]) -> Json:
    """Return the extracted values if they fit in a row; extracted.json always has all of them."""
    return extracted if len(json.dumps(extracted)) <= MAX_RESULT_CHARS else {"truncated": sorted(extracted)}


def unreached(session: ProxySession) -> list[Json]:
    """Return the latest ten hosts that the page requested and that could not be reached."""
    hops = [hop for hop in session.failures if hop.kind != "blocked_address"]
    return [{"url": hop.authority, "reason": hop.sentence} for hop in hops[-10:]]


def refusals(session: ProxySession) -> list[str]:
    """Return why hosts that the page requested were blocked, without duplicates, at most ten."""
    sentences = [hop.sentence for hop in session.failures if hop.kind == "blocked_address"]
    return list(dict.fromkeys(sentences))[:10]
