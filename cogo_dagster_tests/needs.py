"""External requirements of the tests, reported before they are installed and when they are present.

A run of all tests installs everything first, so that no test waits for it. A run of a few tests reports what is
missing; their fixtures install it on first use.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest

from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster_tests.bytecode import compile_tests, is_compiled
from cogo_dagster_tests.npm import PACKAGES, fetch_packages, is_fetched
from cogo_dagster_tests.programs import PROGRAMS, find, get
from cogo_dagster_tests.quality.real_reports import TESTED, is_reported, package_reports
from cogo_dagster_tests.servers import find_15, get_15

_APT_SECONDS: Final = 15
_NPM_SECONDS: Final = 10
_REPORTS_SECONDS: Final = 20
_COMPILE_SECONDS: Final = 10

_DURATION: Final = "All tests take about ten minutes on two cores; `uv run pytest FOLDER` runs those of a folder."


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement of tests.

    Attributes:
        way: How it is installed here; None if it cannot be.
        seconds: Approximate duration of the installation.
        remedy: How to install it by hand.
        found: Returns its location or version; None if it is missing.
        get: Installs it.
        is_independent: Whether it can be installed while the system's package manager is in use.
    """

    name: str
    way: str | None
    seconds: int
    remedy: str
    found: Callable[[], str | None]
    get: Callable[[], object]
    is_independent: bool = False


def needs() -> list[Need]:
    """Return the requirements of all tests."""
    return [
        Need(
            "PostgreSQL 15",
            "apt-get install postgresql-15, or the npm registry",
            30,
            "install it (Debian 12: postgresql-15) or add its pg_config to the PATH",
            lambda: str(found) if (found := find_15()) else None,
            get_15,
        ),
        Need(
            "a browser",
            "Playwright's download, or apt-get install chromium",
            90,
            "`uv run playwright install --with-deps chromium-headless-shell`",
            _browser,
            partial(find_browser, BrowserOptions(), install=True),
        ),
        *(_program(name) for name in PROGRAMS),
        *(_package(name) for name in PACKAGES),
        Need(
            f"reports of {TESTED.replace('==', ' ')}",
            "the Python package index",
            _REPORTS_SECONDS,
            "let uv reach a package index",
            lambda: ".cogo/sdist" if is_reported() else None,
            package_reports,
            is_independent=True,
        ),
        Need(
            "bytecode of the tests",
            "compiled by one process instead of each",
            _COMPILE_SECONDS,
            "",
            lambda: "__pycache__" if is_compiled() else None,
            compile_tests,
            is_independent=True,
        ),
    ]


def before(missing: Sequence[Need], *, all_tests: bool) -> Iterator[str]:
    """Yield what will be installed, from where and in which time, and what cannot be."""
    got = [need for need in missing if need.way]
    lacking = [need for need in missing if not need.way]
    if got:
        when = "before the first test" if all_tests else "when a test needs it"
        yield f"To be installed {when}, in about {_duration(sum(need.seconds for need in got))}:"
        yield from (f"  {need.name:<28} {_duration(need.seconds):>6}  {need.way}" for need in got)
    if lacking:
        yield "Missing; the tests that need them " + ("fail:" if os.environ.get("CI") else "are skipped:")
        yield from (f"  {need.name:<28}         {need.remedy}" for need in lacking)


def after(all_of_them: Sequence[Need]) -> Iterator[str]:
    """Yield what was found."""
    yield "Found for the tests:"
    yield from (f"  {need.name:<28}         {need.found() or 'nothing'}" for need in all_of_them)


def prepare(say: Callable[[str], None], *, all_tests: bool) -> None:
    """Report what is missing, install it if all tests are to run, and report what was found and how long they take."""
    if all_tests:
        say(_DURATION)
    known = needs()
    missing = [need for need in known if need.found() is None]
    for line in before(missing, all_tests=all_tests):
        say(line)
    if not all_tests:
        return
    to_get = [need for need in missing if need.way]
    with ThreadPoolExecutor() as threads:
        beside = [threads.submit(_got, need) for need in to_get if need.is_independent]
        errors = [_got(need) for need in to_get if not need.is_independent]
        for error in [*errors, *(thread.result() for thread in beside)]:
            if error:
                say(error)
    for line in after(known):
        say(line)


def _got(need: Need) -> str | None:
    """Install a requirement; return the error, if any."""
    try:
        need.get()
    except (ExecutorUnavailable, RuntimeError, pytest.skip.Exception, pytest.fail.Exception) as error:
        return f"{need.name}: {error}"
    return None


def _program(name: str) -> Need:
    package, remedy = PROGRAMS[name]
    way = f"apt-get install {package}" if os.geteuid() == 0 and shutil.which("apt-get") else None
    return Need(name, way, _APT_SECONDS, remedy, lambda: find(name), lambda: get(name))


def _package(name: str) -> Need:
    version = PACKAGES[name]
    return Need(
        f"{name} {version}",
        "the npm registry",
        _NPM_SECONDS,
        "add Node.js with npm to the PATH",
        lambda: ".cogo/npm" if is_fetched(name) else None,
        fetch_packages,
    )


def _browser() -> str | None:
    try:
        choice = find_browser(BrowserOptions(), install=False)
    except ExecutorUnavailable:
        return None
    return f"{choice.version}, {choice.executable_path}"


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
