"""A tab of a browser that tests use one after another: a new one costs as much as the pages that a test opens."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, ViewportSize, expect

from cogo_dagster.web.files import static_files
from cogo_dagster.web.serve import address

_PICTURE: Final = static_files().address("icon.svg")
_SIZE: Final[ViewportSize] = {"width": 1280, "height": 800}

expect.set_options(timeout=20_000)  # a loaded machine takes longer than Playwright's five seconds


class Tab:
    """A tab for the servers that listen on a port, one after another.

    Attributes:
        errors: What its page caused and must not.
    """

    def __init__(self, browser: Browser, port: socket.socket, timezone: str | None = None) -> None:
        self._origin = address(port)
        context = browser.new_context(base_url=self._origin, viewport=_SIZE, timezone_id=timezone)
        self._page = context.new_page()
        self._devtools = context.new_cdp_session(self._page)
        self.errors: list[str] = []
        watch(self._page, self.errors)

    @contextmanager
    def lent(self) -> Iterator[Page]:
        """Lend the page, and remove what its user leaves in the tab; clocks and permissions would remain."""
        self.errors.clear()
        yield self._page
        self._page.unroute_all(behavior="ignoreErrors")
        self._page.goto(_PICTURE)  # a page of another origin, such as about:blank, would start another process
        self._page.set_viewport_size(_SIZE)
        self._page.context.clear_cookies()
        self._devtools.send("Storage.clearDataForOrigin", {"origin": self._origin, "storageTypes": "local_storage"})

    def close(self) -> None:
        """Close the tab and its context."""
        self._page.context.close()


def watch(page: Page, errors: list[str]) -> None:
    """Record the errors of a page."""
    page.on("pageerror", lambda error: errors.append(f"error {error}"))
    page.on("dialog", lambda dialog: note_dialog(dialog, errors))
    page.on("console", lambda message: note_console(message, errors))


def note_dialog(dialog: Dialog, errors: list[str]) -> None:
    """Record a dialog: only an injected script opens one."""
    errors.append(f"dialog {dialog.message}")
    dialog.dismiss()


def note_console(message: ConsoleMessage, errors: list[str]) -> None:
    """Record console errors, such as blocked scripts, but not the statuses that tests expect."""
    if message.type == "error" and not re.search(r"status of 40[14]", message.text):
        errors.append(f"{message.type} {message.text}")
