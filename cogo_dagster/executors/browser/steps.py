"""Performs the actions of a payload on a page."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from playwright.async_api import Error, Page

from cogo_dagster.executors.browser import payload
from cogo_dagster.executors.browser.artifacts import ArtifactCollector
from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.errors import NAVIGATED_AWAY
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.failures import response_error, response_failure
from cogo_dagster.executors.browser.navigation import replaced_response
from cogo_dagster.executors.browser.page_scripts import SCROLL, VALUES
from cogo_dagster.executors.browser.page_state import TRIES, PageState, in_one_document, page_state
from cogo_dagster.executors.browser.screenshots import (
    LEFT_SECONDS,
    Capturing,
    capture_element,
    capture_if_possible,
    capture_page,
    capture_whole_page,
    max_height,
)
from cogo_dagster.executors.browser.tasks import begin, unless_broken, with_timeout
from cogo_dagster.formatting.browser_evidence import FailedRequest
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable_json

T = TypeVar("T")

CRASH_REPORT_SECONDS = 0.5
MAX_MATCHES = 1_000
MAX_TEXT_CHARS = 100_000
BOM: Final = b"\xef\xbb\xbf"
"""Written before page.html: the document may declare another encoding, and the mark takes precedence over it."""


@dataclass(slots=True, eq=False)
class PageSession:
    """The page of one attempt and its results so far.

    Attributes:
        timeout_ms: Timeout of a step that has none.
        scrolls: Whether to scroll through every page that is opened.
        status: HTTP status of the latest `goto`.
        notes: Notes for the result.
        without_glyphs: Scripts that are rendered as boxes on this machine.
        failed_resources: Resources of the last document that was read with a status of 400 or above.
        finishing: Whether the final steps are running: the document is then read once.
        saves_html: Whether a final step saves page.html.
        changed: Whether actions have changed the page: the driver reports a tab that one has opened later.
        last_status: Status of the last document that was read, or of the last navigation.
    """

    page: Page
    devtools: DevTools
    session: ProxySession
    collector: ArtifactCollector
    timeout_ms: int
    wait_until: payload.WaitUntil
    events: Events
    scrolls: bool = False
    status: int | None = None
    extracted: dict[str, Json] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    without_glyphs: tuple[str, ...] = ()
    failed_resources: tuple[FailedRequest, ...] = ()
    finishing: bool = False
    saves_html: bool = False
    changed: bool = False
    last_status: int | None = None
    _looked: tuple[int, PageState] | None = None
    _requested: "tuple[int, asyncio.Task[str]] | None" = None

    async def open(self, step: payload.Goto) -> None:
        """Navigate and check the response."""
        self.events.expect()
        timeout_ms = step.timeout_ms or self.timeout_ms
        navigation = self.page.goto(step.url, wait_until=step.wait_until or self.wait_until, timeout=timeout_ms)
        try:
            response = await unless_broken(navigation, self.events.broken)
        except Error as error:
            response = await replaced_response(self.events.failed, str(error))
            if response is None:
                raise
        if response is not None:
            self.status = self.last_status = response.status
            cause = response_failure(response.url, response.status, response.headers, self.session)
            if cause is not None:
                raise response_error(describe(step), cause, response.headers)
        if self.scrolls:
            await self.scroll(timeout_ms)

    async def scroll(self, timeout_ms: int) -> None:
        """Scroll to the end and back to the top, and wait until the images have loaded."""
        limit_ms = timeout_ms * 0.8
        limit_px = max_height(1)

        async def scroll() -> Any:
            return await with_timeout(self.page.evaluate(SCROLL, [limit_ms, limit_px]), timeout_ms / 1000)

        whole, loaded = await in_one_document(self.page, scroll, timeout_ms)
        if not whole:
            self.note(
                f"Scrolling stopped after {limit_ms / 1000:g} s or {limit_px} pixels, before the end of the page."
            )
        elif not loaded:
            self.note(f"Some images had not loaded {limit_ms / 1000:g} s after scrolling began.")

    async def look(self, timeout_ms: int, request_more: Callable[[], None] | None = None) -> PageState:
        """Return the state of the current document; see `page_state`."""
        changes = self.events.changes
        state = await page_state(self.page, self.devtools, self.without_glyphs, timeout_ms, request_more)
        self.failed_resources = state.errors
        self.last_status = state.status or self.last_status
        self._looked = (changes, state) if self.finishing else None
        return state

    async def _look_unless_navigating(
        self, timeout_ms: int, request_more: Callable[[], None] | None = None
    ) -> PageState:
        """Return the state of the current document; nothing is known of a page that keeps navigating."""
        try:
            return await self.look(timeout_ms, request_more)
        except Error as error:
            if not NAVIGATED_AWAY.search(str(error)):
                raise
            return PageState()

    async def last_document(self) -> PageState:
        """Return the state of the last document; it is not read again if a final step did and nothing has changed."""
        if self._looked is not None and self._looked[0] == self.events.changes:
            return self._looked[1]
        return await self.look(self.timeout_ms)

    async def screenshot(self, name: str, *, full_page: bool, timeout_ms: int) -> None:
        """Save a screenshot of the window or the whole page, up to the limits of the browser and of an artifact."""
        taken = await (self._whole_page(name, timeout_ms) if full_page else self._window(timeout_ms))
        self._add_screenshot(name, *taken)

    async def _window(self, timeout_ms: int) -> tuple[bytes, bool]:
        """Capture the window; as `capture_page`.

        State, picture and HTML are requested at once, so that the page is open for a shorter time: its scripts and
        frames use CPU time until it is closed.
        """
        requested: Capturing | None = None
        left = self.events.next_change

        def request_more() -> None:
            nonlocal requested, left
            left = self.events.next_change
            requested = begin(capture_if_possible(self.devtools, None))
            if self.finishing and self.saves_html:
                self._requested = self.events.changes, begin(self.page.content())

        at_once = len(self.page.frames) == 1 and not self.changed
        state = await self._look_unless_navigating(timeout_ms, request_more if at_once else None)
        if not state.settled:
            self._requested = None
        left = left if requested is not None else self.events.next_change
        what = (self.page, self.devtools, state, None)
        return await capture_page(*what, left=left, requested=requested, full_page=False, timeout_ms=timeout_ms)

    async def _whole_page(self, name: str, timeout_ms: int) -> tuple[bytes, bool]:
        """Capture the page as far down as possible; as `capture_page`."""
        state = await self._look_unless_navigating(timeout_ms)
        left = self.events.next_change
        png, early, shown = await capture_whole_page(self.page, self.devtools, state, timeout_ms, left)
        if shown < state.height:
            self.note(f"{name}.png shows the upper {shown} of {state.height} pixels.")
        return png, early

    async def screenshot_of(self, name: str, selector: str, *, timeout_ms: int) -> None:
        """Save a screenshot of the first matching element."""
        self._add_screenshot(name, *await capture_element(self.page.locator(selector).first, self.devtools, timeout_ms))

    def _add_screenshot(self, name: str, png: bytes, early: bool) -> None:
        if early:
            self.note(f"{name}.png was taken before the page was ready, for example because a font did not load.")
        self.collector.add(f"{name}.png", png)

    async def save_extracted(self) -> None:
        """Save extracted.json if there is anything in it."""
        if self.extracted:
            self.collector.add_json("extracted.json", self.extracted)

    async def html(self, timeout_ms: int) -> None:
        """Save the current document, in UTF-8 with a byte order mark."""
        content = await with_timeout(self._content(), timeout_ms / 1000)
        self.collector.add("page.html", BOM + self.storable("page.html", content).encode())

    async def _content(self) -> str:
        """Return the HTML, which may have been requested together with the screenshot."""
        requested, self._requested = self._requested, None
        if requested is not None:
            changes, task = requested
            with contextlib.suppress(Error):
                content = await task
                if changes == self.events.changes:
                    return content
        for tries_left in reversed(range(TRIES)):
            left = self.events.next_change
            try:
                return await self.page.content()
            except Error as error:
                if not tries_left or not NAVIGATED_AWAY.search(error.message):
                    raise
            await asyncio.wait({left}, timeout=LEFT_SECONDS)
            await self.page.wait_for_load_state("domcontentloaded", timeout=self.timeout_ms)
        raise AssertionError

    def note(self, text: str) -> None:
        """Add a note, unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)

    def storable(self, where: str, value: T) -> T:
        """Return *value* with characters that cannot be stored replaced, and note the replacement."""
        kept, changed = storable_json(value)
        if changed:
            self.note(
                f"{where} has U+FFFD in place of characters that cannot be stored (U+0000, half a surrogate pair)."
            )
        return cast("T", kept)

    async def pdf(self, name: str, *, timeout_ms: int) -> None:
        """Save the page as it would be printed, in the size of its `@page` rule."""
        printing = self.page.pdf(print_background=True, prefer_css_page_size=True)
        try:
            with self.devtools.capture_in_progress():
                content = await with_timeout(printing, timeout_ms / 1000)
        except Error:
            await asyncio.wait({self.events.broken}, timeout=CRASH_REPORT_SECONDS)  # a crash is the cause to report
            raise
        self.collector.add(f"{name}.pdf", content)


def describe(step: Any) -> str:
    """Return a description of a step such as `click #go`; it never contains a value that was filled in."""
    targets = (getattr(step, name, None) for name in ("url", "selector", "text", "name", "key"))
    return " ".join([step.do, *filter(None, targets)][:2])[:300]


async def perform(page_session: PageSession, step: Any) -> None:
    """Perform one action; Playwright's errors propagate."""
    await _ACTIONS[type(step)](page_session, step, step.timeout_ms or page_session.timeout_ms)


async def _goto(page_session: PageSession, step: payload.Goto, timeout_ms: int) -> None:
    await page_session.open(step.model_copy(update={"timeout_ms": timeout_ms}))


async def _click(page_session: PageSession, step: payload.Click, timeout_ms: int) -> None:
    await page_session.page.click(step.selector, timeout=timeout_ms)


async def _fill(page_session: PageSession, step: payload.Fill, timeout_ms: int) -> None:
    await page_session.page.fill(step.selector, step.value, timeout=timeout_ms)


async def _press(page_session: PageSession, step: payload.Press, timeout_ms: int) -> None:
    if step.selector:
        await page_session.page.press(step.selector, step.key, timeout=timeout_ms)
    else:
        await with_timeout(page_session.page.keyboard.press(step.key), timeout_ms / 1000)


async def _select(page_session: PageSession, step: payload.Select, timeout_ms: int) -> None:
    await page_session.page.select_option(step.selector, step.value, timeout=timeout_ms)


async def _wait_for(page_session: PageSession, step: payload.WaitFor, timeout_ms: int) -> None:
    if step.url:
        await page_session.page.wait_for_url(step.url, timeout=timeout_ms)
        return
    locator = (
        page_session.page.locator(step.selector) if step.selector else page_session.page.get_by_text(step.text or "")
    )
    await locator.first.wait_for(state=step.state, timeout=timeout_ms)


async def _wait(page_session: PageSession, step: payload.Wait, timeout_ms: int) -> None:  # noqa: ARG001 - all actions have the same signature
    await page_session.page.wait_for_timeout(step.ms)


async def _scroll(page_session: PageSession, step: payload.Scroll, timeout_ms: int) -> None:  # noqa: ARG001 - as above
    await page_session.scroll(timeout_ms)


async def _screenshot(page_session: PageSession, step: payload.Screenshot, timeout_ms: int) -> None:
    if step.selector:
        await page_session.screenshot_of(step.name, step.selector, timeout_ms=timeout_ms)
    else:
        await page_session.screenshot(step.name, full_page=step.full_page, timeout_ms=timeout_ms)


async def _pdf(page_session: PageSession, step: payload.Pdf, timeout_ms: int) -> None:
    await page_session.pdf(step.name, timeout_ms=timeout_ms)


async def _extract(page_session: PageSession, step: payload.Extract, timeout_ms: int) -> None:
    locator = page_session.page.locator(step.selector)
    await locator.first.wait_for(state="attached", timeout=timeout_ms)
    if not step.all:
        locator = locator.first
    reading = locator.evaluate_all(VALUES, [step.attribute, MAX_MATCHES, MAX_TEXT_CHARS])
    match await with_timeout(reading, timeout_ms / 1000):
        case [int() as matches, [_, *_] as values]:
            pass
        case _:
            raise Error("the elements have disappeared")
    if matches > MAX_MATCHES:
        page_session.note(f"{step.name} has the first {MAX_MATCHES} of {matches} matches.")
    kept = [value[:MAX_TEXT_CHARS] if isinstance(value, str) else value for value in values[:MAX_MATCHES]]
    page_session.extracted[step.name] = page_session.storable(step.name, kept if step.all else kept[0])


_ACTIONS: dict[type, Callable[[PageSession, Any, int], Awaitable[None]]] = {
    payload.Goto: _goto,
    payload.Click: _click,
    payload.Fill: _fill,
    payload.Press: _press,
    payload.Select: _select,
    payload.WaitFor: _wait_for,
    payload.Wait: _wait,
    payload.Scroll: _scroll,
    payload.Screenshot: _screenshot,
    payload.Pdf: _pdf,
    payload.Extract: _extract,
}
