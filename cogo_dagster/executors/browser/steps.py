"""What each action does to the page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from playwright.async_api import Page

from cogo_dagster.executors.browser import payload as asked
from cogo_dagster.executors.browser.artifacts import Shelf
from cogo_dagster.executors.browser.failures import check_answer
from cogo_dagster.executors.browser.tasks import bounded
from cogo_dagster.net.proxy import ProxySession
from cogo_dagster.queue.model import Json
from cogo_dagster.text import storable_json

T = TypeVar("T")

MAX_MATCHES = 1_000
MAX_TEXT_CHARS = 100_000
MAX_SCREENSHOT_PX = 16_384
"""Chromium's tallest picture: what lies below comes out blank or repeated."""

_ATTRIBUTES = "(elements, name) => elements.map(element => element.getAttribute(name))"


@dataclass(slots=True)
class Visit:
    """One job's page and what it has yielded.

    Attributes:
        timeout_ms: Longest wait of a step that names none.
        status: HTTP status of the latest navigation.
        notes: What the reader of the result should know, one sentence each.
    """

    page: Page
    session: ProxySession
    shelf: Shelf
    timeout_ms: int
    wait_until: asked.WaitUntil
    status: int | None = None
    extracted: dict[str, Json] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    async def open(self, step: asked.Goto) -> None:
        """Navigate, and judge the answer."""
        response = await self.page.goto(
            step.url, wait_until=step.wait_until or self.wait_until, timeout=step.timeout_ms or self.timeout_ms
        )
        if response is not None:
            self.status = response.status
            check_answer(describe(step), response.url, response.status, response.headers, self.session)

    async def screenshot(self, name: str, *, full_page: bool, timeout_ms: int) -> None:
        """Keep a picture of the window or of the whole page."""
        clip: Any = None
        if full_page:
            size = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            width, height = await bounded(self.page.evaluate(size), timeout_ms / 1000)
            if height > MAX_SCREENSHOT_PX:
                clip = {"x": 0, "y": 0, "width": width, "height": MAX_SCREENSHOT_PX}
                self.notes.append(f"{name}.png shows the upper {MAX_SCREENSHOT_PX} of {height} pixels.")
        picture = await self.page.screenshot(full_page=full_page, clip=clip, timeout=timeout_ms)
        self.shelf.add(f"{name}.png", picture)

    async def html(self) -> None:
        """Keep the document as it is now."""
        content = await bounded(self.page.content(), self.timeout_ms / 1000)
        self.shelf.add("page.html", self.storable("page.html", content).encode())

    def storable(self, where: str, value: T) -> T:
        """Return what a page yielded as it can be stored, and note where that is not what the page has."""
        kept, changed = storable_json(value)
        note = f"{where} has U+FFFD in place of characters that cannot be stored (U+0000, half a surrogate pair)."
        if changed and note not in self.notes:
            self.notes.append(note)
        return cast("T", kept)

    async def pdf(self, name: str, *, timeout_ms: int) -> None:
        """Keep the page as it would be printed."""
        self.shelf.add(f"{name}.pdf", await bounded(self.page.pdf(print_background=True), timeout_ms / 1000))


def describe(step: Any) -> str:
    """Name a step for a person: `click #go`, `goto https://…`; never a value that was typed in."""
    targets = (getattr(step, name, None) for name in ("url", "selector", "text", "name", "key"))
    return " ".join([step.do, *filter(None, targets)][:2])[:300]


async def perform(visit: Visit, step: Any) -> None:
    """Do one action; raises what Playwright raises."""
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


async def _wait(visit: Visit, step: asked.Wait, timeout_ms: int) -> None:  # noqa: ARG001 - every action has the same form
    await visit.page.wait_for_timeout(step.ms)


async def _screenshot(visit: Visit, step: asked.Screenshot, timeout_ms: int) -> None:
    if step.selector:
        visit.shelf.add(
            f"{step.name}.png", await visit.page.locator(step.selector).first.screenshot(timeout=timeout_ms)
        )
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
        visit.notes.append(f"{step.name} holds the first {MAX_MATCHES} of {len(values)} matches.")
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
    asked.Screenshot: _screenshot,
    asked.Pdf: _pdf,
    asked.Extract: _extract,
}
