"""A Playwright driver and its browser, which are started, watched and ended together."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from playwright.async_api import Browser, Error, Playwright

from cogo_dagster.executors.browser.advice import browser_libraries_command, missing_library, sandbox_message
from cogo_dagster.executors.browser.driver import clean_driver, process_exists, read_driver_pid, scratch_folder
from cogo_dagster.executors.browser.errors import DRIVER_GONE, BrowserFailure, out_of_memory
from cogo_dagster.executors.browser.find import BrowserChoice
from cogo_dagster.executors.browser.memory import ProcessTree, network_process
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.scheduling import schedule_as_batch
from cogo_dagster.executors.browser.tasks import begin, ends_within
from cogo_dagster.executors.browser.transport import start_driver
from cogo_dagster.executors.errors import ExecutorUnavailable, SandboxUnavailable
from cogo_dagster.net.peers import Address, ProcessSockets, can_find_processes, socket_inode
from cogo_dagster.queue.folders import LockedFolder
from cogo_dagster.settings import is_root

if TYPE_CHECKING:
    from cogo_dagster.executors.browser.steps import PageSession

LAUNCH_TIMEOUT_MS = 60_000
_NO_SANDBOX = re.compile(
    r"without --no-sandbox|No usable sandbox|sandbox is not supported|setuid sandbox|Failed to move to new namespace",
    re.IGNORECASE,
)
CLOSE_TIMEOUT_SECONDS = 5
RESPONSE_SECONDS = 1.4
NETWORK_SEARCHES = 5
CRASH_REPORT_SECONDS = 5
"""How long a browser may take to report a crash."""

CHROMIUM_FLAGS = (
    "--disable-quic",  # UDP would bypass the proxy
    # Two names of one flag, which Chromium renamed (Chromium 156 supports only the second).
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-sync",
    "--no-pings",
    # The browser resolves no host names, so that every request has to use the proxy. (No --disable-features here: only
    # the last one on the command line counts, and it would replace Playwright's.)
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


class RunningBrowser:
    """A running browser.

    Attributes:
        browser: Playwright's handle.
        jobs: Number of jobs that have used the browser.
        in_use: Number of jobs that are using the browser.
        unhealthy: Set when an operation in the browser hung: it gets no further job.
        memory_bytes: The memory of the driver, the browser and their children when it was last measured.
        pages: The pages of running attempts.
    """

    def __init__(self, driver: Playwright, browser: Browser, scratch: LockedFolder, pids: tuple[int, int]) -> None:
        self.browser = browser
        self.jobs = 0
        self.in_use = 0
        self.unhealthy = False
        self.memory_bytes = 0
        self.pages: set[PageSession] = set()
        self._stopped_pids: set[int] = set()
        self._ended_pages: deque[tuple[float, BrowserFailure]] = deque()
        self.driver_pid, self.browser_pid = pids
        self.processes = ProcessTree(pids)
        self._network: ProcessSockets | None = None
        self._searches_left = NETWORK_SEARCHES if can_find_processes() else 0
        self._driver = driver
        self._scratch = scratch

    @classmethod
    async def launch(cls, choice: BrowserChoice, options: BrowserOptions, proxy_url: str) -> Self:
        """Start a driver and its browser.

        Raises:
            ExecutorUnavailable: The browser does not start; the message contains the reason.
        """
        try:
            scratch = await asyncio.to_thread(scratch_folder)
        except OSError as error:
            raise ExecutorUnavailable(_scratch_message(error)) from error
        driver: Playwright | None = None
        try:
            with clean_driver(scratch.path):
                driver = await start_driver()
            driver_pid = read_driver_pid(scratch.path)
            schedule_as_batch(driver_pid)
            browser = await driver.chromium.launch(
                executable_path=choice.executable_path,
                headless=options.headless,
                chromium_sandbox=not options.no_sandbox,
                args=list(CHROMIUM_FLAGS),
                # Each context has its own credentials; the proxy responds with 407 to requests without any.
                proxy={"server": proxy_url, "bypass": "<-loopback>"},
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=LAUNCH_TIMEOUT_MS,
            )
            return cls(driver, browser, scratch, (driver_pid, await _browser_pid(browser)))
        except BaseException as error:
            if driver is not None:
                await ends_within(driver.stop(), CLOSE_TIMEOUT_SECONDS)
            await asyncio.to_thread(scratch.remove)
            if isinstance(error, Error):
                raise _unavailable(error.message, choice) from error
            if isinstance(error, OSError):
                raise ExecutorUnavailable(_scratch_message(error)) from error
            if DRIVER_GONE.search(str(error)):  # Playwright raises a plain Exception here
                raise ExecutorUnavailable("Playwright's driver exited while it was starting the browser.") from error
            raise

    @property
    def alive(self) -> bool:
        """Whether the browser can be used for another job."""
        return not self.unhealthy and self.ended() is None

    def ended(self) -> BrowserFailure | None:
        """Return the failure if the driver or the browser has ended; more reliable than the error of a running call."""
        if not process_exists(self.driver_pid):
            return BrowserFailure("driver_gone", True, "the Playwright driver ended unexpectedly")
        if not (self.browser.is_connected() and process_exists(self.browser_pid)):
            return BrowserFailure("browser_gone", True, "the browser ended unexpectedly")
        return None

    async def flush_stale_error(self) -> None:
        """Make a call whose result is ignored; a browser that takes long for it gets no further job.

        A page can keep a browser busy with thousands of navigations. And Playwright raises an error that belongs to no
        call in the next call, which must not be a call of another job.
        """
        if self.alive and not await ends_within(_browser_pid(self.browser), RESPONSE_SECONDS):
            self.unhealthy = True

    def kill(self) -> None:
        """Kill the browser with everything that runs in it."""
        self.unhealthy = True
        _kill_group(self.browser_pid)

    @property
    def verifies_connections(self) -> bool:
        """Whether `has_connection` works on this system; the first jobs may find no network process yet."""
        if self._network is None and self._searches_left:
            self._searches_left -= 1
            self._find_network()
        return self._network is not None

    def has_connection(self, peer: Address, proxy: Address) -> bool:
        """Whether a connection to the proxy was opened by this browser; takes about 0.1 ms.

        All connections of a browser are those of one process, its network service, which the browser restarts if it
        crashes.
        """
        inode = socket_inode(peer, proxy)
        if inode is None:
            return False
        if self._network is None or not process_exists(self._network.pid):
            self._find_network()
        return self._network is not None and self._network.has(inode)

    def _find_network(self) -> None:
        pid = network_process(self.browser_pid)
        self._network = None if pid is None else ProcessSockets(pid)

    def end_page(self, pid: int, used_bytes: int, limit_bytes: int) -> None:
        """End the renderer of a page that uses too much memory; pages of other jobs are in other renderers.

        Chromium 156 often crashes if a renderer is killed while it captures the page. Therefore the renderer is only
        stopped while pages are captured, or soon will be, until its page has been found and closed, which cancels the
        capture.
        """
        failure = out_of_memory(used_bytes, limit_bytes)
        capturing = [page for page in self.pages if page.devtools.capturing or page.finishing]
        if pid in self._stopped_pids:
            return
        if not capturing:
            self._kill_page(pid, failure)
            return
        self._stopped_pids.add(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP)
        begin(self._end_captured_page(pid, failure, capturing))

    async def _end_captured_page(self, pid: int, failure: BrowserFailure, capturing: "list[PageSession]") -> None:
        """Close the page of a stopped renderer, which is the one that does not respond, and kill the renderer."""
        responding = await asyncio.gather(*(page.devtools.responds(RESPONSE_SECONDS) for page in capturing))
        silent = [page for page, responds in zip(capturing, responding, strict=True) if not responds]
        for page in silent:
            self._ended_pages.append((time.monotonic(), failure))
            page.events.crash()
        await asyncio.gather(*(ends_within(page.page.close(), RESPONSE_SECONDS) for page in silent))
        self._kill_page(pid, None if silent else failure)

    def _kill_page(self, pid: int, failure: BrowserFailure | None) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            if failure is not None:
                self._ended_pages.append((time.monotonic(), failure))

    def cause_of_crash(self) -> BrowserFailure | None:
        """Return the failure of a page that has just crashed because `end_page` ended it, once for each.

        The protocol does not tell which page a process has, but the crash is reported immediately.
        """
        while self._ended_pages:
            ended_at, failure = self._ended_pages.popleft()
            if time.monotonic() - ended_at < CRASH_REPORT_SECONDS:
                return failure
        return None

    async def close(self) -> None:
        """Close browser and driver, gracefully if they respond, within about twice `CLOSE_TIMEOUT_SECONDS`."""
        healthy = self.alive
        if not (await ends_within(self.browser.close(), CLOSE_TIMEOUT_SECONDS) and healthy):
            _kill_group(self.browser_pid)
        if not await ends_within(self._driver.stop(), CLOSE_TIMEOUT_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.driver_pid, signal.SIGKILL)
        await asyncio.to_thread(self._scratch.remove)


async def _browser_pid(browser: Browser) -> int:
    session = await browser.new_browser_cdp_session()
    info: Any = await session.send("SystemInfo.getProcessInfo")
    await session.detach()
    return int(next(process["id"] for process in info["processInfo"] if process["type"] == "browser"))


def _kill_group(pid: int) -> None:
    """Kill the browser's process group; Playwright starts the browser as its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _scratch_message(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    return (
        f"The browser's temporary files cannot be written{place}: {error.strerror or error}. Free some disk space, or "
        "set TMPDIR to a writable folder."
    )


def _unavailable(message: str, choice: BrowserChoice) -> ExecutorUnavailable:
    if _NO_SANDBOX.search(message):
        return SandboxUnavailable(sandbox_message(root=is_root()))
    return ExecutorUnavailable(_launch_message(message, choice))


def _launch_message(message: str, choice: BrowserChoice) -> str:
    if re.search(r"XServer|\$DISPLAY|ozone_platform|cannot open display", message):
        return "HEADLESS=false needs a display, and there is none: set HEADLESS=true, or run under xvfb-run."
    if "Node.js" in message:
        return f"Playwright's driver does not start: {message.splitlines()[0]}"
    if library := missing_library(message):
        command = browser_libraries_command()
        return f"{choice.executable_path} does not start: the library {library} is missing. Run `{command}`."
    logged = re.search(r"FATAL:\S* (.+)", message)
    reason = logged[1] if logged else message.strip().splitlines()[0]
    return f"{choice.executable_path} ({choice.version}) does not start: {reason}"
