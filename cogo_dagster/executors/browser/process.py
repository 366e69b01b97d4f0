"""One Playwright driver and the one browser it runs: started together, watched together, ended together."""

import asyncio
import contextlib
import os
import re
import signal
from typing import Any, Self

from playwright.async_api import Browser, Error, Playwright, async_playwright

from cogo_dagster.executors.browser.driver import clean_driver, noted_pid, process_exists, scratch_folder
from cogo_dagster.executors.browser.errors import DRIVER_GONE, Verdict
from cogo_dagster.executors.browser.find import BrowserChoice
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.tasks import settled
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.queue.folders import LockedFolder

LAUNCH_MS = 60_000
CLOSE_SECONDS = 5

CHROMIUM_FLAGS = (
    "--disable-quic",  # UDP would go past the proxy
    # Two spellings of one flag: Chromium renamed it, and ignores the other (Chromium 156 obeys only the second).
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-sync",
    "--no-pings",
    # The browser itself resolves nothing: what is not proxied does not leave. (No --disable-features here: only the
    # last one on the command line counts, and it would replace Playwright's.)
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


class RunningBrowser:
    """A browser that is up, until `close`.

    Attributes:
        browser: Playwright's handle.
        jobs: Contexts handed out so far.
        in_use: Contexts still open.
        suspect: Set when something hung in it: it serves no further job.
    """

    def __init__(self, driver: Playwright, browser: Browser, scratch: LockedFolder, pids: tuple[int, int]) -> None:
        self.browser = browser
        self.jobs = 0
        self.in_use = 0
        self.suspect = False
        self.driver_pid, self.browser_pid = pids
        self._driver = driver
        self._scratch = scratch

    @classmethod
    async def launch(cls, choice: BrowserChoice, options: BrowserOptions, proxy_url: str) -> Self:
        """Start a driver and its browser.

        Raises:
            ExecutorUnavailable: One sentence that says why it does not start.
        """
        scratch = await asyncio.to_thread(scratch_folder)
        driver: Playwright | None = None
        try:
            with clean_driver(scratch.path):
                driver = await async_playwright().start()
            driver_pid = noted_pid(scratch.path)
            browser = await driver.chromium.launch(
                executable_path=choice.executable_path,
                headless=options.headless,
                chromium_sandbox=not options.no_sandbox,
                args=list(CHROMIUM_FLAGS),
                # Contexts bring their own credentials; without them this proxy answers 407 to everybody.
                proxy={"server": proxy_url, "bypass": "<-loopback>"},
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=LAUNCH_MS,
            )
            return cls(driver, browser, scratch, (driver_pid, await _browser_pid(browser)))
        except BaseException as error:
            if driver is not None:
                await settled(driver.stop(), CLOSE_SECONDS)
            await asyncio.to_thread(scratch.remove)
            if isinstance(error, Error):
                raise ExecutorUnavailable(_launch_sentence(error.message, choice)) from error
            if DRIVER_GONE.search(str(error)):  # not an Error of Playwright's, but a bare Exception
                raise ExecutorUnavailable("Playwright's driver ended while it started the browser.") from error
            raise

    @property
    def alive(self) -> bool:
        """Whether it can serve another job."""
        return not self.suspect and self.died() is None

    def died(self) -> Verdict | None:
        """What died, if something did; a better witness than the message of the call that was running."""
        if not process_exists(self.driver_pid):
            return Verdict("driver_gone", True, "the Playwright driver died")
        if not (self.browser.is_connected() and process_exists(self.browser_pid)):
            return Verdict("browser_gone", True, "the browser died")
        return None

    async def absorb_error(self) -> None:
        """Make a call that nobody needs.

        Playwright gives an error that belongs to no call to whichever call comes next; that shall not be a job's.
        """
        if self.alive:
            await settled(_browser_pid(self.browser), CLOSE_SECONDS)

    def kill(self) -> None:
        """End the browser at once, with everything that runs in it."""
        self.suspect = True
        _kill_group(self.browser_pid)

    async def close(self) -> None:
        """End browser and driver, politely if they listen, within about twice `CLOSE_SECONDS`."""
        healthy = self.alive
        if not (await settled(self.browser.close(), CLOSE_SECONDS) and healthy):
            _kill_group(self.browser_pid)
        if not await settled(self._driver.stop(), CLOSE_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.driver_pid, signal.SIGKILL)
        await asyncio.to_thread(self._scratch.remove)


async def _browser_pid(browser: Browser) -> int:
    session = await browser.new_browser_cdp_session()
    info: Any = await session.send("SystemInfo.getProcessInfo")
    await session.detach()
    return int(next(process["id"] for process in info["processInfo"] if process["type"] == "browser"))


def _kill_group(pid: int) -> None:
    """Kill what is left of the browser; Playwright starts it as the leader of its own process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _launch_sentence(message: str, choice: BrowserChoice) -> str:
    if re.search(
        r"without --no-sandbox|No usable sandbox|sandbox is not supported|setuid sandbox", message, re.IGNORECASE
    ):
        return (
            "Chromium's sandbox does not work here (as root it never does): run the worker as another user, "
            "or set NO_SANDBOX=true if you trust the pages it opens."
        )
    if re.search(r"XServer|\$DISPLAY|ozone_platform|cannot open display", message):
        return "HEADLESS=false needs a display and there is none: set HEADLESS=true, or run under xvfb-run."
    if "Node.js" in message:
        return f"Playwright's driver does not start: {message.splitlines()[0]}; TMPDIR must allow running programs."
    logged = re.search(r"FATAL:\S* (.+)", message)
    reason = logged[1] if logged else message.strip().splitlines()[0]
    return f"{choice.executable_path} ({choice.version}) does not start: {reason}"
