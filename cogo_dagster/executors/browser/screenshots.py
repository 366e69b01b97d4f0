"""Screenshots, also of pages that never become ready and of pages above the browser's usual height limit."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from playwright.async_api import Error, FloatRect, Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from cogo_dagster.executors.browser.artifacts import MAX_FILE_BYTES
from cogo_dagster.executors.browser.devtools import DevTools
from cogo_dagster.executors.browser.page_state import PageState
from cogo_dagster.executors.browser.tasks import StepTimeout, begin, with_timeout
from cogo_dagster.executors.browser.transport import reply_bytes

MAX_SCREENSHOT_PX: Final = 60_000
"""Maximum height. Chromium 156 renders 60,000 px correctly; of 100,000 px a part is blank or repeated."""
MAX_SCREENSHOT_AREA: Final = 128_000_000
"""Maximum number of pixels: each takes four bytes in the browser, and four more during compression."""
LEFT_SECONDS: Final = 1
"""How long to wait for the picture of a page that has navigated away: Chromium sometimes never returns it."""
READY_TIMEOUT_MS: Final = 10_000
"""How long to wait for a page to be ready; a font that never loads delays the screenshot."""

_NOT_CAPTURED: Final = re.compile("Unable to capture screenshot|Not attached to an active page")
"""Chromium has no frame of the page yet, or the page is replaced by the next one at this moment."""


Capturing = asyncio.Task[bytes | None]


async def capture_page(
    page: Page,
    devtools: DevTools,
    state: PageState,
    clip: FloatRect | None,
    *,
    left: "asyncio.Future[None]",
    requested: Capturing | None = None,
    full_page: bool,
    timeout_ms: int,
) -> tuple[bytes, bool]:
    """Return a PNG, and whether it was taken before the page was ready.

    Args:
        clip: A part of the page; None for the window, or for the whole page with *full_page*.
        left: Resolves when the page navigates away.
        requested: What `capture_if_possible` returns for the window, if it was requested together with the state.

    Raises:
        StepTimeout: The browser did not respond within *timeout_ms*.
    """
    with _whole_timeout(timeout_ms):
        if state.settled and len(page.frames) == 1:
            png = await _unless_left(requested or begin(capture_if_possible(devtools, clip)), left, timeout_ms / 1000)
            if png is not None:
                return png, False
        ready_ms = min(timeout_ms / 2, READY_TIMEOUT_MS)
        try:
            with devtools.capture_in_progress():
                return await _capture_with_retry(
                    lambda: page.screenshot(full_page=full_page, clip=clip, timeout=ready_ms)
                ), False
        except PlaywrightTimeout:
            return await with_timeout(devtools.capture(clip), (timeout_ms - ready_ms) / 1000), True


async def _unless_left(capturing: Capturing, left: "asyncio.Future[None]", timeout_seconds: float) -> bytes | None:
    """Return the picture, or None if the page has navigated away and the picture does not arrive."""
    waiting: set[asyncio.Future[Any]] = {capturing, left}
    await asyncio.wait(waiting, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    if left.done() and not capturing.done():
        await asyncio.wait({capturing}, timeout=LEFT_SECONDS)
    if capturing.done():
        return capturing.result()
    if left.done():
        return None
    raise StepTimeout(f"Timeout {timeout_seconds * 1000:.0f}ms exceeded.")


async def capture_whole_page(
    page: Page, devtools: DevTools, state: PageState, timeout_ms: int, left: "asyncio.Future[None]"
) -> tuple[bytes, bool, int]:
    """Capture the page as far down as the limits of the browser and of an artifact permit.

    Returns:
        As `capture_page`, and the height in pixels.
    """
    clip: FloatRect | None = None
    shown = state.height
    if state.height:
        shown = min(state.height, max_height(state.width))
        clip = {"x": 0, "y": 0, "width": state.width, "height": shown}

    deadline = time.monotonic() + timeout_ms / 1000

    async def take() -> tuple[bytes, bool]:
        left_ms = max(int((deadline - time.monotonic()) * 1000), 1)
        return await capture_page(page, devtools, state, clip, left=left, full_page=True, timeout_ms=left_ms)

    with _whole_timeout(timeout_ms):
        try:
            png, early = await take()
        except Error as error:
            size_bytes = reply_bytes(error.message)
            if clip is None or size_bytes is None:
                raise
            shown = clip["height"] = int(shown * 0.8 * MAX_FILE_BYTES / (size_bytes * 3 / 4))  # it is sent as base64
            png, early = await take()
        if clip is not None and len(png) > MAX_FILE_BYTES:
            state = replace(state, settled=False)  # Playwright's screenshot, which is compressed more
            png, early = await take()
        if clip is not None and len(png) > MAX_FILE_BYTES:
            shown = clip["height"] = int(shown * 0.8 * MAX_FILE_BYTES / len(png))
            png, early = await take()
    return png, early, shown


async def capture_element(locator: Locator, devtools: DevTools, timeout_ms: int) -> tuple[bytes, bool]:
    """Return a PNG of one element, and whether it was taken before the page was ready."""
    ready_ms = min(timeout_ms / 2, READY_TIMEOUT_MS)
    with _whole_timeout(timeout_ms):
        try:
            with devtools.capture_in_progress():
                return await _capture_with_retry(lambda: locator.screenshot(timeout=ready_ms)), False
        except PlaywrightTimeout:
            left_seconds = (timeout_ms - ready_ms) / 1000
            await locator.wait_for(state="visible", timeout=timeout_ms - ready_ms)
            box = await with_timeout(locator.evaluate(_BOX), left_seconds)
            clip: FloatRect = {"x": box[0], "y": box[1], "width": max(box[2], 1), "height": max(box[3], 1)}
            return await with_timeout(devtools.capture(clip), left_seconds), True


@contextlib.contextmanager
def _whole_timeout(timeout_ms: int) -> Iterator[None]:
    """Report the timeout of the step instead of that of one of its calls."""
    try:
        yield
    except (PlaywrightTimeout, StepTimeout) as error:
        raise StepTimeout(re.sub(r"Timeout [\d.]+ ?ms", f"Timeout {timeout_ms}ms", str(error), count=1)) from error


async def capture_if_possible(devtools: DevTools, clip: FloatRect | None) -> bytes | None:
    """Return a PNG, or None if there was nothing to capture yet, which happens on a busy machine."""
    try:
        return await devtools.capture(clip)
    except Error as error:
        if not _NOT_CAPTURED.search(error.message):
            raise
    return None


async def _capture_with_retry(take: Callable[[], Awaitable[bytes]]) -> bytes:
    """Take a screenshot; retry once if there was nothing to capture yet."""
    try:
        return await take()
    except Error as error:
        if not _NOT_CAPTURED.search(error.message):
            raise
    return await take()


def max_height(width: int) -> int:
    """Return the maximum height of a screenshot with this width, in pixels."""
    return min(MAX_SCREENSHOT_PX, MAX_SCREENSHOT_AREA // max(width, 1))


_BOX = """element => {
    const box = element.getBoundingClientRect();
    return [box.x + scrollX, box.y + scrollY, box.width, box.height];
}"""
