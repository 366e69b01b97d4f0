"""Saves what a page shows when its attempt has failed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from cogo_dagster.executors.browser.artifacts import ArtifactCollector
from cogo_dagster.executors.browser.errors import first_line
from cogo_dagster.executors.browser.failures import unreached
from cogo_dagster.executors.browser.navigation import is_pending, last_navigation
from cogo_dagster.executors.browser.process import RunningBrowser
from cogo_dagster.executors.browser.steps import PageSession
from cogo_dagster.executors.browser.tasks import begin, with_timeout

Work = Callable[[], Coroutine[Any, Any, None]]

FILE_TIMEOUT_SECONDS: Final = 3.5
REQUESTS_TIMEOUT_SECONDS: Final = 0.5


async def save_evidence(
    running: RunningBrowser, page_session: PageSession, collector: ArtifactCollector
) -> dict[str, str]:
    """Save the screenshot, the HTML and what was extracted; return why files are missing, by their names.

    Concurrently: if the page hangs, each of them takes its whole timeout. A page that shows no document of its site
    has neither a screenshot nor HTML, and of a page that has crashed, none can be saved any more.
    """
    timeout_ms = int(FILE_TIMEOUT_SECONDS * 1000)
    await _stop_navigation(running, page_session)
    pictures: dict[str, Work] = {
        "screenshot.png": lambda: page_session.screenshot("screenshot", full_page=False, timeout_ms=timeout_ms),
        "page.html": lambda: page_session.html(timeout_ms),
    }
    reason = None if running.ended() else _unreached(page_session)
    crashed = page_session.events.crashed
    files = {"extracted.json": page_session.save_extracted} | ({} if reason or crashed else pictures)
    wanted = [name for name in files if name not in collector]
    reasons = await asyncio.gather(*(_reason_missing(running, files[name]) for name in wanted))
    missing = {name: reason for name, reason in zip(wanted, reasons, strict=True) if reason is not None}
    if crashed:
        missing |= {name: "The page crashed." for name in pictures if name not in collector}
    reason = reason or (None if running.ended() else _unreached(page_session))  # the status is known by now
    if reason is not None:
        for name in pictures:
            collector.discard(name)
        missing |= dict.fromkeys(pictures, reason)
    return missing


async def _stop_navigation(running: RunningBrowser, page_session: PageSession) -> None:
    """Abandon a navigation that is waiting for a response, so that the current document can be read."""
    if running.ended() or page_session.page.url in {"", "about:blank"}:
        return
    document = await last_navigation(page_session.page, REQUESTS_TIMEOUT_SECONDS)
    if document is not None and is_pending(document):
        begin(page_session.devtools.stop_loading())


def _unreached(page_session: PageSession) -> str | None:
    return unreached(page_session.page.url, page_session.last_status, page_session.session)


async def _reason_missing(running: RunningBrowser, save: Work) -> str | None:
    """Save a file; return the reason if that is impossible."""
    dead = running.ended()
    if dead is not None:
        return f"{dead.message}."
    try:
        await with_timeout(save(), FILE_TIMEOUT_SECONDS)
    except Exception as reason:  # noqa: BLE001 - Playwright raises a plain Exception if its driver ends
        return f"{first_line(str(reason))}."
    return None
