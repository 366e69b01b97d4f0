"""Screenshots, also of pages that never become ready and of pages above the browser's usual height limit."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

from playwright.async_api import Error, FloatRect, Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from cogo_dagster.executors.browser.tasks import with_timeout

MAX_SCREENSHOT_PX: Final = 60_000
"""Maximum height. Chromium 156 renders 60,000 px correctly; of 100,000 px a part is blank or repeated."""
MAX_SCREENSHOT_AREA: Final = 128_000_000
"""Maximum number of pixels: each takes four bytes in the browser, and four more during compression."""
READY_TIMEOUT_MS: Final = 10_000
"""How long to wait for a page to be ready; a font that never loads delays the screenshot."""

_NOT_CAPTURED: Final = "Unable to capture screenshot"
_SIZE = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"


async def capture_page(page: Page, clip: FloatRect | None, full_page: bool, timeout_ms: int) -> tuple[bytes, bool]:
    """Return a PNG, and whether it was taken before the page was ready.

    Args:
        clip: A part of the page; None for the window, or for the whole page with *full_page*.

    Raises:
        StepTimeout: The browser did not respond within *timeout_ms*.
    """
    ready_ms = min(timeout_ms / 2, READY_TIMEOUT_MS)
    try:
        return await _capture_with_retry(
            lambda: page.screenshot(full_page=full_page, clip=clip, timeout=ready_ms)
        ), False
    except PlaywrightTimeout:
        if clip is None and full_page:
            width, height = await page_size(page, timeout_ms)
            clip = {"x": 0, "y": 0, "width": width, "height": height}
        return await with_timeout(_capture_now(page, clip), (timeout_ms - ready_ms) / 1000), True


async def capture_element(locator: Locator, timeout_ms: int) -> tuple[bytes, bool]:
    """Return a PNG of one element, and whether it was taken before the page was ready."""
    ready_ms = min(timeout_ms / 2, READY_TIMEOUT_MS)
    try:
        return await _capture_with_retry(lambda: locator.screenshot(timeout=ready_ms)), False
    except PlaywrightTimeout:
        left_seconds = (timeout_ms - ready_ms) / 1000
        await locator.wait_for(state="visible", timeout=timeout_ms - ready_ms)
        box = await with_timeout(locator.evaluate(_BOX), left_seconds)
        clip: FloatRect = {"x": box[0], "y": box[1], "width": max(box[2], 1), "height": max(box[3], 1)}
        return await with_timeout(_capture_now(locator.page, clip), left_seconds), True


async def _capture_with_retry(take: Callable[[], Awaitable[bytes]]) -> bytes:
    """Take a screenshot; retry once if Chromium had no frame yet, which happens on a busy machine."""
    try:
        return await take()
    except Error as error:
        if _NOT_CAPTURED not in error.message:
            raise
    return await take()


async def page_size(page: Page, timeout_ms: int) -> tuple[int, int]:
    """Return the width and height of the page's content in CSS pixels."""
    width, height = await with_timeout(page.evaluate(_SIZE), timeout_ms / 1000)
    return int(width), int(height)


def max_height(width: int) -> int:
    """Return the maximum height of a screenshot with this width, in pixels."""
    return min(MAX_SCREENSHOT_PX, MAX_SCREENSHOT_AREA // max(width, 1))


async def _capture_now(page: Page, clip: FloatRect | None) -> bytes:
    """Capture with Chromium's own command, which does not wait for the page to be ready."""
    options: dict[str, Any] = {"format": "png"}
    if clip is not None:
        options |= {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True}
    session = await page.context.new_cdp_session(page)
    try:
        response: Any = await session.send("Page.captureScreenshot", options)
    finally:
        await session.detach()
    return base64.b64decode(response["data"])


_BOX = """element => {
    const box = element.getBoundingClientRect();
    return [box.x + scrollX, box.y + scrollY, box.width, box.height];
}"""
