"""One Playwright driver and the one browser it runs: started together, watched together, ended together."""

import asyncio
import contextlib
import os
import re
import signal
from typing import Any, Self

from playwright.async_api import Browser, Error, Playwright, async_playwright

from cogo_dagster.executors.browser.advice import browser_libraries_command, missing_library, sandbox_sentence
from cogo_dagster.executors.browser.driver import clean_driver, noted_pid, process_exists, scratch_folder
from cogo_dagster.executors.browser.errors import DRIVER_GONE, Verdict
from cogo_dagster.executors.browser.find import BrowserChoice
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.browser.tasks import settled
from cogo_dagster.executors.errors import ExecutorUnavailable, SandboxUnavailable
from cogo_dagster.queue.folders import LockedFolder
from cogo_dagster.settings import is_root

LAUNCH_MS = 60_000
_NO_SANDBOX = re.compile(
    r"without --no-sandbox|No usable sandbox|sandbox is not supported|setuid sandbox|Failed to move to new namespace",
    re.IGNORECASE,
)
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
        try:
            scratch = await asyncio.to_thread(scratch_folder)
        except OSError as error:
            raise ExecutorUnavailable(_scratch_sentence(error)) from error
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
                raise _unavailable(error.message, choice) from error
            if isinstance(error, OSError):
                raise ExecutorUnavailable(_scratch_sentence(error)) from error
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


def _scratch_sentence(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    return (
        f"A browser's temporary files cannot be written{place}: {error.strerror or error}; make room there, or set "
        "TMPDIR to a folder that can be written."
    )


def _unavailable(message: str, choice: BrowserChoice) -> ExecutorUnavailable:
    if _NO_SANDBOX.search(message):
        return SandboxUnavailable(sandbox_sentence(root=is_root()))
    return ExecutorUnavailable(_launch_sentence(message, choice))


def _launch_sentence(message: str, choice: BrowserChoice) -> str:
    if re.search(r"XServer|\$DISPLAY|ozone_platform|cannot open display", message):
        return "HEADLESS=false needs a display and there is none: set HEADLESS=true, or run under xvfb-run."
    if "Node.js" in message:
        return f"Playwright's driver does not start: {message.splitlines()[0]}"
    if library := missing_library(message):
        command = browser_libraries_command()
        return f"{choice.executable_path} does not start, since the library {library} is missing: run `{command}`."
    logged = re.search(r"FATAL:\S* (.+)", message)
    reason = logged[1] if logged else message.strip().splitlines()[0]
    return f"{choice.executable_path} ({choice.version}) does not start: {reason}"
