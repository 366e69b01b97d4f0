"""Find a Chromium-family browser on this machine, or install one.

The order: what `BROWSER_CHANNEL` names; a headless shell, a Chrome or a Chromium of the system; a build that Playwright
downloaded; then, if installing is allowed, Playwright's, and the distribution's package where we are root.
A candidate counts only if it runs `--version`.

A headless shell is Chromium without what a window needs: a page costs a third of the processor time. It is what
Playwright itself takes for headless pages; the channel `chromium` asks for the whole browser.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.browser.install import APT_LOCK_SECONDS, Installer, Step, installer
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.settings import is_root

SHELL_NAMES = ("/usr/lib/chromium/chromium-headless-shell", "chromium-headless-shell", "chrome-headless-shell")
"""Debian's own path first: what it has on PATH is a script that stays between us and the browser."""

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

PLAYWRIGHT_SHELLS = ("*/chrome-headless-shell", "*/headless_shell")
PLAYWRIGHT_PROGRAMS = (
    "*/chrome",
    "*/*.app/Contents/MacOS/Chromium",
    "*/*.app/Contents/MacOS/Google Chrome for Testing",
)
APT_FONTS = ("fonts-dejavu-core", "fonts-liberation")
VERSION_SECONDS = 30
NOTHING_FOUND = (
    "No Chrome or Chromium was found{installing}: install one (`sudo apt-get install chromium`, or "
    "`uv run playwright install --with-deps chromium-headless-shell`) or set BROWSER_CHANNEL to the path of its "
    "executable."
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
        Interrupted: The worker is being stopped.
    """
    if options.channel and options.channel not in CHANNELS:
        return _named(options.channel)
    shell = options.headless and options.channel is None
    choice = _present(options.channel, shell)
    if choice is None and install and options.channel in (None, "chromium"):
        choice = _install(shell)
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


def _present(channel: str | None, shell: bool) -> BrowserChoice | None:
    names = CHANNELS[channel] if channel else (*CHROME_NAMES, *CHROMIUM_NAMES)
    found = [(Path(path), "system") for path in map(shutil.which, (*SHELL_NAMES, *names) if shell else names) if path]
    if channel in (None, "chromium"):
        shells = _playwright_builds("chromium_headless_shell", PLAYWRIGHT_SHELLS) if shell else []
        found += [(path, "playwright") for path in (*shells, *_playwright_builds("chromium", PLAYWRIGHT_PROGRAMS))]
    return next(filter(None, (_verified(path, source) for path, source in found)), None)


def _verified(path: Path, source: str) -> BrowserChoice | None:
    version = browser_version(path)
    return BrowserChoice(path, version, source) if version else None


def _playwright_builds(kind: str, programs: tuple[str, ...]) -> list[Path]:
    """Playwright's own builds of a kind, newest revision first."""
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    caches = [Path(folder)] if folder else [Path("~/.cache/ms-playwright"), Path("~/Library/Caches/ms-playwright")]
    builds = [build for cache in caches for build in cache.expanduser().glob(f"{kind}-*")]
    builds.sort(key=lambda build: int(build.name.rpartition("-")[2] or 0), reverse=True)
    return [program for build in builds for pattern in programs for program in build.glob(pattern)]


def _install(shell: bool) -> BrowserChoice | None:
    wanted, channel = ("chromium-headless-shell", None) if shell else ("chromium", "chromium")
    present = partial(_present, channel, shell)
    with installer() as steps:
        # Another process may have installed one while this one waited for the lock.
        choice = present()
        if choice is not None:
            return choice
        playwright = [sys.executable, "-m", "playwright"]
        steps.run(Step("Downloading Chromium with Playwright", [*playwright, "install", wanted], packages=False))
        if _can_apt() and _downloaded() and present() is None:
            steps.run(Step("Installing the libraries Chromium needs", [*playwright, "install-deps", wanted]))
        if _can_apt() and present() is None:
            _install_package(steps, wanted, present)
        found = present()
    return BrowserChoice(found.executable_path, found.version, "installed") if found else None


def _install_package(steps: Installer, wanted: str, present: Callable[[], BrowserChoice | None]) -> None:
    apt_get = ["apt-get", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}", "-qq"]
    steps.run(Step("Reading the package lists", [*apt_get, "update"]))
    for package in dict.fromkeys((wanted, "chromium")):  # older releases have no package of the shell
        if present() is None:
            install = [*apt_get, "install", "-y", "--no-install-recommends", package, *APT_FONTS]
            steps.run(Step(f"Installing the package {package}", install))


def _downloaded() -> list[Path]:
    return _playwright_builds("chromium*", (*PLAYWRIGHT_SHELLS, *PLAYWRIGHT_PROGRAMS))


def _can_apt() -> bool:
    return is_root() and shutil.which("apt-get") is not None
