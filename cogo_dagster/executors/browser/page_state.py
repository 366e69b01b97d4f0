"""Reads everything about a page's document that a job needs in one call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Error, Page

from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.errors import NAVIGATED_AWAY
from cogo_dagster.executors.browser.fonts import BOXED
from cogo_dagster.executors.browser.tasks import begin, with_timeout
from cogo_dagster.executors.browser.transport import reply_bytes
from cogo_dagster.formatting.browser_evidence import FailedRequest
from cogo_dagster.text import storable

TRIES: Final = 5
MAX_ERRORS: Final = 20
MAX_TITLE_CHARS: Final = 1_000
MAX_PX: Final = 1e9

_STATE: Final = f"""missing => {{
    const attempt = (read, otherwise) => {{ try {{ return read() }} catch {{ return otherwise }} }}
    const root = document.documentElement, focused = document.activeElement
    const caret = () => focused && (focused.isContentEditable || /^(INPUT|TEXTAREA)$/.test(focused.tagName))
    const text = value => typeof value === 'string' ? value : ''
    const number = value => typeof value === 'number' ? value : 0
    const errors = () => {{
        const found = [], entries = performance.getEntriesByType('resource')
        for (let at = entries.length - 1; at >= 0 && found.length < {MAX_ERRORS}; at--) {{
            const entry = entries[at], status = number(entry.responseStatus)
            if (status >= 400) found[found.length] = [text(entry.name.slice(0, 300)), status]
        }}
        return found
    }}
    return {{
        title: attempt(() => text(document.title.slice(0, {MAX_TITLE_CHARS})), ''),
        status: attempt(() => number(performance.getEntriesByType('navigation')[0].responseStatus), 0),
        size: attempt(() => [number(root.scrollWidth), number(root.scrollHeight)], [0, 0]),
        settled: attempt(() => document.fonts.status === 'loaded' && !caret(), false),
        errors: attempt(errors, []),
        boxed: missing.length ? attempt(() => text(({BOXED})(missing).join()), '') : '',
    }}
}}"""
"""Only strings, numbers and booleans are returned: the functions of a page may return anything, such as an object that
the browser or its driver cannot pass on."""


@dataclass(frozen=True, slots=True)
class PageState:
    """The state of a page's document; nothing in it is known of a page that does not respond.

    Attributes:
        status: Its HTTP status, also after client-side redirects.
        width: Width of the content in CSS pixels; `height` likewise.
        settled: Whether it can be captured now: all fonts have loaded, and no caret blinks.
        errors: The latest resources of the document with a status of 400 or above, if the browser shows their status.
        boxed: The scripts that it contains and that are rendered as boxes.
    """

    title: str = ""
    status: int | None = None
    width: int = 0
    height: int = 0
    settled: bool = False
    errors: tuple[FailedRequest, ...] = ()
    boxed: tuple[str, ...] = ()


async def page_state(
    page: Page,
    devtools: DevTools,
    without_glyphs: tuple[str, ...],
    timeout_ms: int,
    request_more: Callable[[], None] | None = None,
) -> PageState:
    """Return the state of the current document; while the page navigates, of the next one.

    Args:
        without_glyphs: Scripts for which no font is installed.
        request_more: Called after each request for the state, to send others without waiting for the reply.

    Raises:
        StepTimeout: The page did not respond within *timeout_ms*.
        Error: The page cannot be read, or keeps navigating.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            reading = begin(devtools.evaluate(_STATE, list(without_glyphs)))
            if request_more is not None:
                request_more()
            found = await with_timeout(reading, timeout_ms / 1000)
        except Error as error:
            if reply_bytes(error.message) is not None:
                return PageState()
            if not tries_left or not NAVIGATED_AWAY.search(str(error)):
                raise
            await page.wait_for_load_state("domcontentloaded", timeout=timeout_ms)
        else:
            return parsed(found, without_glyphs)
    raise AssertionError


def _size(found: Any) -> tuple[int, int]:
    match found:
        case [int() | float() as width, int() | float() as height] if 0 < width < MAX_PX and 0 < height < MAX_PX:
            return int(width), int(height)
        case _:
            return 0, 0


def _errors(found: Any) -> tuple[FailedRequest, ...]:
    errors: list[FailedRequest] = []
    for entry in found[:MAX_ERRORS] if isinstance(found, list) else ():
        match entry:
            case [str() as url, int() as status]:
                errors.append(FailedRequest(url=storable(url[:300]), reason=f"HTTP status {status}"))
    return tuple(reversed(errors))


def parsed(found: Any, without_glyphs: tuple[str, ...]) -> PageState:
    """Return what the page's script returned; the page can change it."""
    if not isinstance(found, dict):
        return PageState()
    title, status, size, boxed = (found.get(name) for name in ("title", "status", "size", "boxed"))
    known = isinstance(status, int) and 100 <= status < 600
    width, height = _size(size)
    return PageState(
        title if isinstance(title, str) else "",
        status if known else None,
        width,
        height,
        found.get("settled") is True,
        _errors(found.get("errors")),
        tuple(script for script in without_glyphs if isinstance(boxed, str) and script in boxed.split(",")),
    )
