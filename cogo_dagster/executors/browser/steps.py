"""Performs the actions of a payload on a page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from playwright.async_api import Error, FloatRect, Page

from cogo_dagster.executors.browser import payload as asked
from cogo_dagster.executors.browser.artifacts import MAX_FILE_BYTES, Shelf
from cogo_dagster.executors.browser.errors import NAVIGATED_AWAY
from cogo_dagster.executors.browser.events import Events
from cogo_dagster.executors.browser.failures import answer_failed, wrong_answer
from cogo_dagster.executors.browser.pictures import most_height, page_size, picture_of, picture_of_element
from cogo_dagster.executors.browser.tasks import bounded, unless
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable_json

T = TypeVar("T")

MAX_MATCHES = 1_000
MAX_TEXT_CHARS = 100_000
DOCUMENT_TRIES: Final = 5
BOM: Final = b"\xef\xbb\xbf"
"""Written before page.html: the document may declare another encoding, and the mark takes precedence over it."""

_ATTRIBUTES = "(elements, name) => elements.map(element => element.getAttribute(name))"

_DOCUMENT = """() => {
    const navigation = performance.getEntriesByType("navigation")[0];
    return [document.title, navigation ? navigation.responseStatus : 0];
}"""
_SCROLL = """async ([limitMs, limitPx]) => {
    const end = performance.now() + limitMs, pause = ms => new Promise(done => setTimeout(done, ms));
    const root = document.scrollingElement || document.documentElement;
    const go = y => scrollTo({left: 0, top: y, behavior: "instant"});
    for (let y = 0; y < Math.min(root.scrollHeight, limitPx) && performance.now() < end; y += innerHeight) {
        go(y);
        await pause(50);
    }
    go(Math.min(root.scrollHeight, limitPx));
    await pause(50);
    const waiting = () => [...document.images].some(image => !image.complete && image.getClientRects().length);
    while (waiting() && performance.now() < end) await pause(50);
    const whole = root.scrollHeight <= limitPx && performance.now() < end;
    go(0);
    await pause(50);
    return whole;
}"""


@dataclass(slots=True)
class Visit:
    """The page of one attempt and its results so far.

    Attributes:
        timeout_ms: Timeout of a step that has none.
        scrolls: Whether to scroll through every page that is opened.
        status: HTTP status of the latest `goto`.
        notes: Notes for the result.
    """

    page: Page
    session: ProxySession
    shelf: Shelf
    timeout_ms: int
    wait_until: asked.WaitUntil
    events: Events
    scrolls: bool = False
    status: int | None = None
    extracted: dict[str, Json] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    async def open(self, step: asked.Goto) -> None:
        """Navigate and check the response."""
        self.events.expect()
        timeout_ms = step.timeout_ms or self.timeout_ms
        going = self.page.goto(step.url, wait_until=step.wait_until or self.wait_until, timeout=timeout_ms)
        response = await unless(going, self.events.broken)
        if response is not None:
            self.status = response.status
            wrong = wrong_answer(response.url, response.status, response.headers, self.session)
            if wrong is not None:
                raise answer_failed(describe(step), wrong, response.headers)
        if self.scrolls:
            await self.scroll(timeout_ms)

    async def scroll(self, timeout_ms: int) -> None:
        """Scroll to the end and back to the top, and wait until the images have loaded."""
        limit_ms = timeout_ms * 0.8
        limit_px = most_height(1)
        if not await bounded(self.page.evaluate(_SCROLL, [limit_ms, limit_px]), timeout_ms / 1000):
            self.note(f"Scrolling stopped after {limit_ms / 1000:g} s or {limit_px} pixels, before the end of the page.")

    async def document(self) -> tuple[str, int | None]:
        """Return the title and HTTP status of the current document, also after client-side redirects."""
        for tries_left in reversed(range(DOCUMENT_TRIES)):
            try:
                title, status = await bounded(self.page.evaluate(_DOCUMENT), self.timeout_ms / 1000)
            except Error as error:
                if not tries_left or not NAVIGATED_AWAY.search(str(error)):
                    raise
                await self.page.wait_for_load_state("domcontentloaded", timeout=self.timeout_ms)
            else:
                break
        known = isinstance(status, int) and 100 <= status < 600
        return title if isinstance(title, str) else "", status if known else None

    async def screenshot(self, name: str, *, full_page: bool, timeout_ms: int) -> None:
        """Save a screenshot of the window or the whole page, up to the limits of the browser and of an artifact."""
        clip: FloatRect | None = None
        width, height, shown = 0, 0, 0
        if full_page:
            width, height = await page_size(self.page, timeout_ms)
            shown = min(height, most_height(width))
            if shown < height:
                clip = {"x": 0, "y": 0, "width": width, "height": shown}
        picture, hasty = await picture_of(self.page, clip, full_page, timeout_ms)
        if full_page and len(picture) > MAX_FILE_BYTES:
            shown = int(shown * 0.8 * MAX_FILE_BYTES / len(picture))
            clip = {"x": 0, "y": 0, "width": width, "height": shown}
            picture, hasty = await picture_of(self.page, clip, full_page, timeout_ms)
        if shown < height:
            self.note(f"{name}.png shows the upper {shown} of {height} pixels.")
        self._keep_picture(name, picture, hasty)

    async def screenshot_of(self, name: str, selector: str, *, timeout_ms: int) -> None:
        """Save a screenshot of the first matching element."""
        self._keep_picture(name, *await picture_of_element(self.page.locator(selector).first, timeout_ms))

    def _keep_picture(self, name: str, picture: bytes, hasty: bool) -> None:
        if hasty:
            self.note(f"{name}.png was taken before the page was ready, for example because a font did not load.")
        self.shelf.add(f"{name}.png", picture)

    async def html(self, timeout_ms: int) -> None:
        """Save the current document, in UTF-8 with a byte order mark."""
        content = await bounded(self.page.content(), timeout_ms / 1000)
        self.shelf.add("page.html", BOM + self.storable("page.html", content).encode())

    def note(self, sentence: str) -> None:
        """Add a note, unless it is there already."""
        if sentence not in self.notes:
            self.notes.append(sentence)

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
        self.shelf.add(f"{name}.pdf", await bounded(printing, timeout_ms / 1000))


def describe(step: Any) -> str:
    """Return a description of a step such as `click #go`; it never contains a value that was filled in."""
    targets = (getattr(step, name, None) for name in ("url", "selector", "text", "name", "key"))
    return " ".join([step.do, *filter(None, targets)][:2])[:300]


async def perform(visit: Visit, step: Any) -> None:
    """Perform one action; Playwright's errors propagate."""
    await _ACTIONS[type(step)](visit, step, step.timeout_ms or visit.timeout_ms)


async def _goto(visit: Visit, step: asked.Goto, timeout_ms: int) -> None:
    await visit.open(step.model_copy(update={"timeout_ms": timeout_ms}))


async def _click(visit: Visit, step: asked.Click, timeout_ms: int) -> None:
    await visit.page.click(step.selector, timeout=timeout_ms)


async def _fill(visit: Visit, step: asked.Fill, timeout_ms: int) -> None:
    await visit.page.fill(step.selector, step.value, timeout=timeout_ms)


async def _press(visit: Visit, step: asked.Press, timeout_ms: int) -> None:
    if step.selector:
        await visit.page.press(step.selector, step.key, timeout=timeout_ms)
    else:
        await bounded(visit.page.keyboard.press(step.key), timeout_ms / 1000)


async def _select(visit: Visit, step: asked.Select, timeout_ms: int) -> None:
    await visit.page.select_option(step.selector, step.value, timeout=timeout_ms)


async def _wait_for(visit: Visit, step: asked.WaitFor, timeout_ms: int) -> None:
    if step.url:
        await visit.page.wait_for_url(step.url, timeout=timeout_ms)
        return
    locator = visit.page.locator(step.selector) if step.selector else visit.page.get_by_text(step.text or "")
    await locator.first.wait_for(state=step.state, timeout=timeout_ms)


async def _wait(visit: Visit, step: asked.Wait, timeout_ms: int) -> None:  # noqa: ARG001 - all actions have the same signature
    await visit.page.wait_for_timeout(step.ms)


async def _scroll(visit: Visit, step: asked.Scroll, timeout_ms: int) -> None:  # noqa: ARG001 - as above
    await visit.scroll(timeout_ms)


async def _screenshot(visit: Visit, step: asked.Screenshot, timeout_ms: int) -> None:
    if step.selector:
        await visit.screenshot_of(step.name, step.selector, timeout_ms=timeout_ms)
    else:
        await visit.screenshot(step.name, full_page=step.full_page, timeout_ms=timeout_ms)


async def _pdf(visit: Visit, step: asked.Pdf, timeout_ms: int) -> None:
    await visit.pdf(step.name, timeout_ms=timeout_ms)


async def _extract(visit: Visit, step: asked.Extract, timeout_ms: int) -> None:
    locator = visit.page.locator(step.selector)
    await locator.first.wait_for(state="attached", timeout=timeout_ms)
    if not step.all:
        locator = locator.first
    values = await bounded(
        locator.evaluate_all(_ATTRIBUTES, step.attribute) if step.attribute else locator.all_inner_texts(),
        timeout_ms / 1000,
    )
    if len(values) > MAX_MATCHES:
        visit.note(f"{step.name} has the first {MAX_MATCHES} of {len(values)} matches.")
    kept = [value[:MAX_TEXT_CHARS] if isinstance(value, str) else value for value in values[:MAX_MATCHES]]
    visit.extracted[step.name] = visit.storable(step.name, kept if step.all else kept[0])


_ACTIONS: dict[type, Callable[[Visit, Any, int], Awaitable[None]]] = {
    asked.Goto: _goto,
    asked.Click: _click,
    asked.Fill: _fill,
    asked.Press: _press,
    asked.Select: _select,
    asked.WaitFor: _wait_for,
    asked.Wait: _wait,
    asked.Scroll: _scroll,
    asked.Screenshot: _screenshot,
    asked.Pdf: _pdf,
    asked.Extract: _extract,
}
