"""Screenshots, also of pages that never come to rest and of pages higher than the browser's usual limit."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

from playwright.async_api import Error, FloatRect, Locator, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from cogo_dagster.executors.browser.tasks import bounded

MAX_SCREENSHOT_PX: Final = 60_000
"""Tallest picture. Chromium 156 draws pages of 60,000 px right, of 100,000 px not: the rest is blank or repeated."""
MAX_SCREENSHOT_AREA: Final = 128_000_000
"""Most pixels of a picture: each takes four bytes in the browser, and again while it is compressed."""
READY_MS: Final = 10_000
"""Longest wait for a page that holds its picture back, as one whose fonts never come."""

_NOT_CAPTURED: Final = "Unable to capture screenshot"
_SIZE = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"


async def picture_of(page: Page, clip: FloatRect | None, full_page: bool, timeout_ms: int) -> tuple[bytes, bool]:
    """Return a PNG, and whether it was taken without waiting for the page to be ready.

    Args:
        clip: The part of the page; None for the window, or all of it with *full_page*.

    Raises:
        StepTimeout: The browser did not answer in *timeout_ms*.
    """
    ready_ms = min(timeout_ms / 2, READY_MS)
    try:
        return await _captured(lambda: page.screenshot(full_page=full_page, clip=clip, timeout=ready_ms)), False
    except PlaywrightTimeout:
        if clip is None and full_page:
            width, height = await page_size(page, timeout_ms)
            clip = {"x": 0, "y": 0, "width": width, "height": height}
        return await bounded(_drawn_now(page, clip), (timeout_ms - ready_ms) / 1000), True


async def picture_of_element(locator: Locator, timeout_ms: int) -> tuple[bytes, bool]:
    """Return a PNG of one element, likewise."""
    ready_ms = min(timeout_ms / 2, READY_MS)
    try:
        return await _captured(lambda: locator.screenshot(timeout=ready_ms)), False
    except PlaywrightTimeout:
        left_seconds = (timeout_ms - ready_ms) / 1000
        await locator.wait_for(state="visible", timeout=timeout_ms - ready_ms)
        box = await bounded(locator.evaluate(_BOX), left_seconds)
        clip: FloatRect = {"x": box[0], "y": box[1], "width": max(box[2], 1), "height": max(box[3], 1)}
        return await bounded(_drawn_now(locator.page, clip), left_seconds), True


async def _captured(take: Callable[[], Awaitable[bytes]]) -> bytes:
    """Take a picture, and once more where Chromium had no frame to show, as on a busy machine."""
    try:
        return await take()
    except Error as error:
        if _NOT_CAPTURED not in error.message:
            raise
    return await take()


async def page_size(page: Page, timeout_ms: int) -> tuple[int, int]:
    """Return width and height of the page's content in CSS pixels."""
    width, height = await bounded(page.evaluate(_SIZE), timeout_ms / 1000)
    return int(width), int(height)


def most_height(width: int) -> int:
    """Return how many rows a picture of so many columns may have."""
    return min(MAX_SCREENSHOT_PX, MAX_SCREENSHOT_AREA // max(width, 1))


async def _drawn_now(page: Page, clip: FloatRect | None) -> bytes:
    """Ask Chromium itself, which waits for nothing."""
    options: dict[str, Any] = {"format": "png"}
    if clip is not None:
        options |= {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True}
    session = await page.context.new_cdp_session(page)
    try:
        answer: Any = await session.send("Page.captureScreenshot", options)
    finally:
        await session.detach()
    return base64.b64decode(answer["data"])


_BOX = """element => {
    const box = element.getBoundingClientRect();
    return [box.x + scrollX, box.y + scrollY, box.width, box.height];
}"""
