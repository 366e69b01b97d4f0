"""Records events that are not part of a job's steps: new tabs, dialogs, downloads and failed requests.

Events that the job does not handle become notes. Only rare events are subscribed to: a message per request or per
console line would cost more than the job's steps. The console is read once at the end instead. Errors of scripts are
sent by the driver in any case.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from playwright.async_api import BrowserContext, Dialog, Download, Error, FileChooser, Frame, Page, Request

from cogo_dagster.executors.browser.errors import NO_DOCUMENT, first_line, is_web
from cogo_dagster.executors.browser.tasks import StepTimeout, begin, with_timeout
from cogo_dagster.formatting.browser_evidence import FailedRequest
from cogo_dagster.text import storable

MAX_NOTES_PER_KIND: Final = 3
MAX_ERRORS_PER_KIND: Final = 20
LIST_TIMEOUT_SECONDS: Final = 2
BROKEN_BODIES: Final = ("ERR_CONTENT_", "_CHUNKED_ENCODING", "ERR_HTTP2_", "ERR_QUIC_")
PAGE_CRASHED: Final = "Page crashed"
_SERVICE_WORKER = "Service Worker registration blocked by Playwright"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageEvents:
    """What `Events` recorded, as in `BrowserEvidence`."""

    notes: tuple[str, ...] = ()
    console_errors: tuple[str, ...] = ()
    page_errors: tuple[str, ...] = ()
    failed_requests: tuple[FailedRequest, ...] = ()


class Events:
    """Records the events of one browser context.

    Args:
        page: The page that the steps act on; every other page is a new tab.
        accept_dialogs: Whether alert, confirm and prompt are accepted; `beforeunload` always is.
        interactive: Whether there are actions on the page: without one, no file dialog opens.

    Attributes:
        navigations: The number of documents that the page has shown since `expect`.
        changes: The number of navigations so far, also within a document.
        next_change: Resolves at the next navigation.
        failed: The latest document request of the page that failed or was incomplete.
        download: URL of the latest download of the page.
        broken: Resolves with the reason when a document is cut off while it loads, or the page crashes: no `load` event
            follows.
        unresponsive: Whether the driver did not return in time what it has recorded: it is busy with a page that logged
            a million values, for example, and serves no other page either.
    """

    def __init__(self, context: BrowserContext, page: Page, *, accept_dialogs: bool, interactive: bool) -> None:
        self._page = page
        self._accept = accept_dialogs
        self._notes: dict[str, list[str]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)
        self._tabs: list[Page] = []
        self._requests: deque[FailedRequest] = deque(maxlen=MAX_ERRORS_PER_KIND)
        self._page_errors: deque[Error] = deque(maxlen=MAX_ERRORS_PER_KIND)
        self.navigations = self.changes = 0
        self.next_change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unresponsive = False
        self.failed: Request | None = None
        self.download: str | None = None
        self._aborted: deque[Request] = deque(maxlen=MAX_NOTES_PER_KIND)
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        context.on("page", self._tab)
        context.on("dialog", self._dialog)
        context.on("requestfailed", self._request_failed)
        page.on("download", self._download)
        page.on("framenavigated", self._navigated)
        page.on("crash", lambda _: self.crash())
        page.on("pageerror", self._page_error)
        if interactive:
            page.on("filechooser", self._file_dialog)

    def expect(self) -> None:
        """Reset the state before a navigation."""
        self.navigations, self.failed, self.download = 0, None, None
        self.broken = asyncio.get_running_loop().create_future()

    @property
    def crashed(self) -> bool:
        """Whether the page has crashed since its latest navigation: it answers no call."""
        return self.broken.done() and self.broken.result() == PAGE_CRASHED

    async def record(self) -> PageEvents:
        """Return notes on events that the job did not handle, and the latest errors by kind."""
        unread: list[str] = []
        # At once: the page may be closed after these requests without waiting for the replies.
        noting = [begin(self._note_aborted(request)) for request in self._aborted]
        messages = await self._listed("Console messages", self._page.console_messages(filter="all"), unread)
        if noting:
            await asyncio.wait(noting)
        notes = [*self._note_texts(), *unread]
        console = [(message.type, message.text) for message in messages]
        if any(text == _SERVICE_WORKER for _, text in console):
            notes.append("The page tried to register a service worker. Jobs block service workers, so it may not work.")
        return PageEvents(
            notes=tuple(storable(note) for note in notes),
            console_errors=tuple(_cut(text) for kind, text in console if kind == "error")[-MAX_ERRORS_PER_KIND:],
            page_errors=tuple(_cut(str(error)) for error in self._page_errors),
            failed_requests=tuple(self._requests),
        )

    async def _listed(self, what: str, call: Coroutine[Any, Any, list[T]], notes: list[str]) -> list[T]:
        """Return what the driver has recorded; if it cannot, note the reason and return nothing."""
        try:
            return await with_timeout(call, LIST_TIMEOUT_SECONDS)
        except Exception as error:  # noqa: BLE001 - Playwright raises a plain Exception if its driver ends
            self.unresponsive = self.unresponsive or isinstance(error, StepTimeout)
            notes.append(f"{what} could not be read: {first_line(str(error))}.")
            return []

    async def _note_aborted(self, request: Request) -> None:
        """Note a navigation after which the page stayed, because the response had no document."""
        with contextlib.suppress(Error, StepTimeout):
            response = await with_timeout(request.response(), LIST_TIMEOUT_SECONDS)
            if response is not None and response.status in NO_DOCUMENT:
                text = f"The server responded with {response.status} to {_cut(request.url)}, which has no document."
                self._note("navigation", text)

    def _note_texts(self) -> list[str]:
        shown = dict(self._notes)
        if self._tabs:
            shown["new tab"] = [
                f"The page opened a new tab, which was ignored: {_cut(tab.url or 'about:blank')}" for tab in self._tabs
            ]
        notes: list[str] = []
        for kind, texts in shown.items():
            notes += texts
            if self._counts[kind] > len(texts):
                notes.append(f"{self._counts[kind] - len(texts)} more events of this kind: {kind}.")
        return notes

    def _note(self, kind: str, text: str) -> None:
        self._counts[kind] += 1
        if len(self._notes[kind]) < MAX_NOTES_PER_KIND:
            self._notes[kind].append(text)

    def _tab(self, tab: Page) -> None:
        if tab is not self._page:
            self._counts["new tab"] += 1
            if len(self._tabs) < MAX_NOTES_PER_KIND:
                self._tabs.append(tab)
            tab.on("download", self._download)

    def _dialog(self, dialog: Dialog) -> None:
        accepted = self._accept or dialog.type == "beforeunload"
        outcome = "accepted." if accepted else 'dismissed; set "dialogs": "accept" to accept dialogs.'
        self._note("dialog", f"The {dialog.type} dialog {_cut(dialog.message)!r} was {outcome}")
        begin(dialog.accept() if accepted else dialog.dismiss())

    def _download(self, download: Download) -> None:
        if download.page is self._page:
            self.download = download.url
        name, url = _cut(download.suggested_filename), _cut(download.url)
        self._note("download", f"The download {name} from {url} was not kept.")

    def _file_dialog(self, _: FileChooser) -> None:
        self._note("file dialog", "The page opened a file dialog, which stayed empty: a job cannot select a file.")

    def _page_error(self, error: Error) -> None:
        self._page_errors.append(error)

    def crash(self) -> None:
        """Abandon the current step, and what is done until the next navigation: the page answers no call any more."""
        if self.broken.done():
            self.broken = asyncio.get_running_loop().create_future()
        self.broken.set_result(PAGE_CRASHED)

    def _navigated(self, frame: Frame) -> None:
        if frame is self._page.main_frame:
            self.navigations += 1
            self.changes += 1
            self.next_change.set_result(None)
            self.next_change = asyncio.get_running_loop().create_future()
            if self.broken.done():
                self.broken = asyncio.get_running_loop().create_future()

    def _request_failed(self, request: Request) -> None:
        reason = request.failure or "failed"
        self._requests.append(FailedRequest(url=_cut(request.url), reason=_cut(reason)))
        if not self._is_document(request):
            return
        self.failed = request
        if not is_web(request.url):
            self._note("navigation", f"The page navigated to {_cut(request.url)}, which a browser cannot open.")
        elif "ERR_ABORTED" in reason:
            self._aborted.append(request)
        if any(name in reason for name in BROKEN_BODIES) and not self.broken.done():
            self.broken.set_result(reason)

    def _is_document(self, request: Request) -> bool:
        try:
            return request.is_navigation_request() and request.frame is self._page.main_frame
        except Error:  # a request without a frame
            return False


def _cut(text: str) -> str:
    """Return the text on one line, at most 300 characters, without characters that cannot be stored."""
    return storable(" ".join(text[:3_000].split())[:300])
