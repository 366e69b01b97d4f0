"""Find a Chromium-family browser on this machine, or install one.

The order: what `BROWSER_CHANNEL` names; a Chrome or Chromium of the system; a build that Playwright downloaded;
then, if installing is allowed, `playwright install chromium`, and the distribution's package where we are root.
A candidate counts only if it runs `--version`.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.settings import is_root

logger = logging.getLogger(__name__)

CHROMIUM_NAMES = ("chromium", "chromium-browser", "/Applications/Chromium.app/Contents/MacOS/Chromium")
CHROME_NAMES = (
    "google-chrome",
    "google-chrome-stable",
    "/opt/google/chrome/chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
CHANNELS: dict[str, tuple[str, ...]] = {
    "chrome": CHROME_NAMES,
    "chrome-beta": ("google-chrome-beta", "/Applications/Google Chrome Beta.app/Contents/MacOS/Google Chrome Beta"),
    "chrome-dev": ("google-chrome-unstable", "/Applications/Google Chrome Dev.app/Contents/MacOS/Google Chrome Dev"),
    "msedge": (
        "microsoft-edge",
        "microsoft-edge-stable",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "msedge-beta": ("microsoft-edge-beta",),
    "msedge-dev": ("microsoft-edge-dev",),
    "chromium": CHROMIUM_NAMES,
}
"""Programs by channel, on PATH or absolute."""

PLAYWRIGHT_PROGRAMS = (
    "*/chrome",
    "*/*.app/Contents/MacOS/Chromium",
    "*/*.app/Contents/MacOS/Google Chrome for Testing",
)
APT_PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-liberation")
INSTALL_SECONDS = 900
VERSION_SECONDS = 30
NOTHING_FOUND = (
    "No Chrome or Chromium was found{installing}: install one (`apt-get install chromium`, or "
    "`python -m playwright install --with-deps chromium`) or set BROWSER_CHANNEL to the path of its executable."
)


@dataclass(frozen=True, slots=True)
class BrowserChoice:
    """A browser that answered `--version`.

    Attributes:
        version: As the program says it: `Chromium 156.0.8078.79`.
        source: `setting`, `system`, `playwright` or `installed`.
    """

    executable_path: Path
    version: str
    source: str


def find_browser(options: BrowserOptions, install: bool) -> BrowserChoice:
    """Choose the browser to run; with *install*, get one where there is none. Blocks: minutes when it installs.

    Raises:
        ExecutorUnavailable: None can be had, or the one that was asked for does not run.
    """
    if options.channel and options.channel not in CHANNELS:
        return _named(options.channel)
    choice = _present(options.channel)
    if choice is None and install and options.channel in (None, "chromium"):
        choice = _install()
    if choice is not None:
        return choice
    if options.channel:
        raise ExecutorUnavailable(
            f"BROWSER_CHANNEL is {options.channel} but it is not installed here: install it, "
            "or leave the variable out to use any Chromium."
        )
    raise ExecutorUnavailable(NOTHING_FOUND.format(installing=" and none could be installed" if install else ""))


def browser_version(program: Path) -> str | None:
    """Return what `program --version` says, or None if it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - a program the operator named or the system installed
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            env=clean_environment(os.environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"[A-Za-z][\w ]* \d+(\.\d+)+", done.stdout)
    return match[0] if done.returncode == 0 and match else None


def _named(program: str) -> BrowserChoice:
    path = Path(program).expanduser()
    if not path.is_file():
        raise ExecutorUnavailable(
            f"BROWSER_CHANNEL is {program}, which is neither an executable nor one of {', '.join(sorted(CHANNELS))}."
        )
    choice = _verified(path, "setting")
    if choice is None:
        raise ExecutorUnavailable(f"BROWSER_CHANNEL is {program}, but `{program} --version` does not run.")
    return choice


def _present(channel: str | None) -> BrowserChoice | None:
    names = CHANNELS[channel] if channel else (*CHROME_NAMES, *CHROMIUM_NAMES)
    found = [(Path(path), "system") for path in map(shutil.which, names) if path]
    if channel in (None, "chromium"):
        found += [(path, "playwright") for path in _playwright_builds()]
    return next(filter(None, (_verified(path, source) for path, source in found)), None)


def _verified(path: Path, source: str) -> BrowserChoice | None:
    version = browser_version(path)
    return BrowserChoice(path, version, source) if version else None


def _playwright_builds() -> list[Path]:
    """Playwright's own Chromium builds, newest revision first."""
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    caches = [Path(folder)] if folder else [Path("~/.cache/ms-playwright"), Path("~/Library/Caches/ms-playwright")]
    builds = [build for cache in caches for build in cache.expanduser().glob("chromium-*")]
    builds.sort(key=lambda build: int(build.name.rpartition("-")[2] or 0), reverse=True)
    return [program for build in builds for pattern in PLAYWRIGHT_PROGRAMS for program in build.glob(pattern)]


def _install() -> BrowserChoice | None:
    with _one_installer():
        # Another process may have installed one while this one waited for the lock.
        choice = _present("chromium")
        if choice is not None:
            return choice
        playwright = [sys.executable, "-m", "playwright"]
        _run("Downloading Chromium with Playwright", [*playwright, "install", "chromium"])
        if _can_apt() and _playwright_builds() and _present("chromium") is None:
            _run("Installing the libraries Chromium needs", [*playwright, "install-deps", "chromium"])
        if _can_apt() and _present("chromium") is None:
            apt_get = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "-qq"]
            _run("Reading the package lists", [*apt_get, "update"])
            _run(
                "Installing the package chromium", [*apt_get, "install", "-y", "--no-install-recommends", *APT_PACKAGES]
            )
        found = _present("chromium")
    return BrowserChoice(found.executable_path, found.version, "installed") if found else None


def _can_apt() -> bool:
    return is_root() and shutil.which("apt-get") is not None


def _run(what: str, command: list[str]) -> None:
    """Run one installation step; a failure is only logged, since the next step may do."""
    logger.warning("%s; this happens once and can take a few minutes.", what)
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env=clean_environment(os.environ, installing=True),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("%s did not work: %s", what, error)
        return
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1])
        logger.warning("%s did not work: %s", what, reason)


@contextlib.contextmanager
def _one_installer() -> Iterator[None]:
    """Let one process install at a time."""
    folder = Path("~/.cache/cogo-dagster").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install-browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
