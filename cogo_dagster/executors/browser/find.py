"""Finds a Chromium-based browser on this machine, or installs one.

The order is: the browser that `BROWSER_CHANNEL` names; a headless shell, Chrome or Chromium of the system; a build
that Playwright downloaded; then, if installing is allowed, Playwright's download, and the distribution's package if
the worker is root. A candidate is used only if it runs with `--version`.

A headless shell is Chromium without a user interface: a page costs a third of the CPU time. Playwright uses it for
headless pages by default; the channel `chromium` selects the full browser.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cogo_dagster.executors.browser.advice import (
    FONT_PACKAGES,
    browser_commands,
    browser_libraries_command,
    missing_library,
)
from cogo_dagster.executors.browser.environment import clean_environment
from cogo_dagster.executors.browser.install import APT_LOCK_TIMEOUT_SECONDS, Installer, Step, installer
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.settings import is_root

SHELL_NAMES = ("/usr/lib/chromium/chromium-headless-shell", "chromium-headless-shell", "chrome-headless-shell")
"""Debian's path comes first: the program on PATH is a script that remains the parent of the browser."""

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
"""Executables by channel: names on PATH or absolute paths."""

PLAYWRIGHT_SHELLS = ("*/chrome-headless-shell", "*/headless_shell")
PLAYWRIGHT_PROGRAMS = (
    "*/chrome",
    "*/*.app/Contents/MacOS/Chromium",
    "*/*.app/Contents/MacOS/Google Chrome for Testing",
)
APT_FONTS = ("fonts-dejavu-core", "fonts-liberation", *FONT_PACKAGES)
VERSION_TIMEOUT_SECONDS = 30
_APT_GET = ("apt-get", "-o", f"DPkg::Lock::Timeout={APT_LOCK_TIMEOUT_SECONDS}", "-qq")


class NotRunnable(Exception):
    """An installed program does not run; the message is its output."""


@dataclass(frozen=True, slots=True)
class BrowserChoice:
    """A browser that runs.

    Attributes:
        version: As printed by `--version`: `Chromium 156.0.8078.79`.
        source: `setting`, `system`, `playwright` or `installed`.
    """

    executable_path: Path
    version: str
    source: str


@dataclass(frozen=True, slots=True)
class Search:
    """Which browser to look for, and where.

    Attributes:
        channel: The value of `BROWSER_CHANNEL`; None accepts any.
        shell: Whether a headless shell is preferred.
        own_folder: The folder for downloads if Playwright's cache is not writable.
    """

    channel: str | None
    shell: bool
    own_folder: Path

    def first_working(self) -> BrowserChoice | None:
        """Return the first candidate that runs."""
        for path, source in self._candidates():
            with contextlib.suppress(NotRunnable):
                return BrowserChoice(path, browser_version(path), source)
        return None

    def broken(self) -> dict[Path, str]:
        """Return the candidates that do not run, each with the reason."""
        found = {}
        for path, _ in self._candidates():
            try:
                browser_version(path)
            except NotRunnable as error:
                found[path] = str(error)
        return found

    def builds(self, kind: str, programs: tuple[str, ...]) -> list[Path]:
        """Return the executables of Playwright's builds of a kind, newest revision first."""
        folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
        caches = [Path(folder).expanduser()] if folder else [_playwright_cache(), self.own_folder]
        builds = [build for cache in caches for build in cache.glob(f"{kind}-*")]
        builds.sort(key=lambda build: int(build.name.rpartition("-")[2] or 0), reverse=True)
        return [program for build in builds for pattern in programs for program in build.glob(pattern)]

    def download_environment(self) -> dict[str, str]:
        """Return the variable that makes Playwright download to `own_folder`, if its cache is not writable."""
        cache = _playwright_cache()
        parent = next(folder for folder in (cache, *cache.parents) if folder.exists())
        if "PLAYWRIGHT_BROWSERS_PATH" in os.environ or os.access(parent, os.W_OK | os.X_OK):
            return {}
        return {"PLAYWRIGHT_BROWSERS_PATH": str(self.own_folder)}

    def _candidates(self) -> list[tuple[Path, str]]:
        names = CHANNELS[self.channel] if self.channel else (*CHROME_NAMES, *CHROMIUM_NAMES)
        on_path = map(shutil.which, (*SHELL_NAMES, *names) if self.shell else names)
        found = [(Path(path), "system") for path in on_path if path]
        if self.channel in (None, "chromium"):
            shells = self.builds("chromium_headless_shell", PLAYWRIGHT_SHELLS) if self.shell else []
            found += [(path, "playwright") for path in (*shells, *self.builds("chromium", PLAYWRIGHT_PROGRAMS))]
        return found


def find_browser(options: BrowserOptions, install: bool) -> BrowserChoice:
    """Return the browser to run; with *install*, install one if there is none. Blocks; an installation takes minutes.

    Raises:
        ExecutorUnavailable: There is no browser and none can be installed, or the configured one does not run.
        Interrupted: The worker is being stopped.
    """
    if options.channel and options.channel not in CHANNELS:
        return _browser_at(options.channel)
    search = Search(options.channel, options.headless and options.channel is None, options.home / "browsers")
    problems: list[str] = []
    choice = search.first_working()
    if choice is None and install and options.channel in (None, "chromium"):
        choice, problems = _install(search, options.home / "install")
    if choice is not None:
        return choice
    if options.channel:
        raise ExecutorUnavailable(
            f"BROWSER_CHANNEL is {options.channel}, which is not installed: install it, "
            "or unset the variable to use any Chromium."
        )
    raise ExecutorUnavailable(_no_browser_message(search.broken(), problems, install=install))


def browser_version(program: Path) -> str:
    """Return the version that `program --version` prints.

    Raises:
        NotRunnable: The program failed; the message is its output.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a program that the operator or the system installed
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_SECONDS,
            env=clean_environment(os.environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotRunnable(f"no output within {VERSION_TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise NotRunnable(error.strerror or str(error)) from None
    match = re.search(r"[A-Za-z][\w ]* \d+(\.\d+)+", done.stdout)
    if done.returncode or not match:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotRunnable(output[0] if output else f"exit code {done.returncode}")
    return match[0]


def _no_browser_message(broken: dict[Path, str], problems: Sequence[str], *, install: bool) -> str:
    """Return why there is no browser, and how to install one."""
    for program, output in broken.items():
        if library := missing_library(output):
            return (
                f"{program} does not start: the library {library} is missing. "
                f"Run `{browser_libraries_command()}`, then start again."
            )
    begin = "No Chrome or Chromium was found" + (", and none could be installed" if install else "")
    reasons = [*problems[:1], *(f"{program} does not run: {output}" for program, output in list(broken.items())[:1])]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    path = "or set BROWSER_CHANNEL to the path of its executable"
    return f"{begin}{why}: install one ({browser_commands()}) {path}."


def _browser_at(program: str) -> BrowserChoice:
    path = Path(program).expanduser()
    if not path.is_file():
        raise ExecutorUnavailable(
            f"BROWSER_CHANNEL is {program}, which is neither an executable nor one of {', '.join(sorted(CHANNELS))}."
        )
    try:
        return BrowserChoice(path, browser_version(path), "setting")
    except NotRunnable as error:
        raise ExecutorUnavailable(
            f"BROWSER_CHANNEL is {program}, but `{program} --version` does not run: {error}."
        ) from None


def _install(search: Search, folder: Path) -> tuple[BrowserChoice | None, list[str]]:
    """Install a browser; return it, or the reasons why there is none."""
    wanted = "chromium-headless-shell" if search.shell else "chromium"
    playwright, environment = [sys.executable, "-m", "playwright"], search.download_environment()
    search = search if search.shell else replace(search, channel="chromium")
    with installer(folder) as steps:
        # Another process may have installed a browser while this process waited for the lock.
        choice = search.first_working()
        if choice is not None:
            return choice, []
        download = [*playwright, "install", wanted]
        steps.run(Step("Downloading Chromium with Playwright", download, packages=False, environment=environment))
        if _can_apt() and _downloaded(search) and search.first_working() is None:
            steps.run(Step("Installing the libraries Chromium needs", [*playwright, "install-deps", wanted]))
        if _can_apt() and search.first_working() is None:
            _install_package(steps, wanted, search.first_working)
        found = search.first_working()
    return (BrowserChoice(found.executable_path, found.version, "installed") if found else None), steps.problems


def _install_package(steps: Installer, wanted: str, first_working: Callable[[], BrowserChoice | None]) -> None:
    steps.run(Step("Reading the package lists", [*_APT_GET, "update"]))
    for package in dict.fromkeys((wanted, "chromium")):  # older releases have no package for the shell
        if first_working() is None:
            install = [*_APT_GET, "install", "-y", "--no-install-recommends", package, *APT_FONTS]
            steps.run(Step(f"Installing the package {package}", install))


def install_fonts(folder: Path) -> None:
    """Install fonts for every script if permitted; a failure is only logged. Blocks."""
    if not _can_apt():
        return
    with installer(folder) as steps:
        steps.run(Step("Reading the package lists", [*_APT_GET, "update"]))
        install = [*_APT_GET, "install", "-y", "--no-install-recommends", *APT_FONTS]
        steps.run(Step("Installing fonts", install))


def _downloaded(search: Search) -> list[Path]:
    return search.builds("chromium*", (*PLAYWRIGHT_SHELLS, *PLAYWRIGHT_PROGRAMS))


def _playwright_cache() -> Path:
    """Return Playwright's default download folder."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches/ms-playwright").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ms-playwright"


def _can_apt() -> bool:
    return is_root() and shutil.which("apt-get") is not None
