"""What the tests need on this machine besides Python's packages: told before it is installed, and when it is there.

A run of all tests installs everything first, so that no test waits for it. A run of a few names what is missing; their
fixtures get it when they ask for it.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest

from cogo_dagster.executors.browser.find import find_browser
from cogo_dagster.executors.browser.options import BrowserOptions
from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster_tests.npm import PACKAGES, is_fetched, npm_package
from cogo_dagster_tests.programs import PROGRAMS, find, get
from cogo_dagster_tests.quality.real_reports import TESTED, is_reported, package_reports
from cogo_dagster_tests.servers import find_15, get_15

_APT_SECONDS: Final = 15
_NPM_SECONDS: Final = 10
_REPORTS_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Need:
    """Something that tests need.

    Attributes:
        way: How it is got here; None if it cannot be.
        seconds: About how long that takes.
        remedy: How a person gets it.
        found: Returns where it is, or its version; None while it is missing.
        get: Gets it.
    """

    name: str
    way: str | None
    seconds: int
    remedy: str
    found: Callable[[], str | None]
    get: Callable[[], object]


def needs() -> list[Need]:
    """Return everything that any test needs."""
    return [
        Need(
            "PostgreSQL 15",
            "apt-get install postgresql-15, or the npm registry",
            30,
            "install it (Debian 12: postgresql-15) or put its pg_config on the PATH",
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
        ),
    ]


def before(missing: Sequence[Need], *, all_tests: bool) -> Iterator[str]:
    """Say what will be installed, from where and how long that takes, and what cannot be."""
    got = [need for need in missing if need.way]
    lacking = [need for need in missing if not need.way]
    if got:
        when = "before the first test" if all_tests else "when a test needs it"
        yield f"To be installed {when}, in about {_duration(sum(need.seconds for need in got))}:"
        yield from (f"  {need.name:<28} {_duration(need.seconds):>6}  {need.way}" for need in got)
    if lacking:
        yield "Missing here; the tests that need them " + ("fail:" if os.environ.get("CI") else "are skipped:")
        yield from (f"  {need.name:<28}         {need.remedy}" for need in lacking)


def after(all_of_them: Sequence[Need]) -> Iterator[str]:
    """Say what was found."""
    yield "Found for the tests:"
    yield from (f"  {need.name:<28}         {need.found() or 'nothing'}" for need in all_of_them)


def prepare(say: Callable[[str], None], *, all_tests: bool) -> None:
    """Tell what is missing, install it if all tests are to run, and tell what was found."""
    known = needs()
    missing = [need for need in known if need.found() is None]
    for line in before(missing, all_tests=all_tests):
        say(line)
    if not all_tests:
        return
    for need in missing:
        if need.way:
            try:
                need.get()
            except (ExecutorUnavailable, RuntimeError, pytest.skip.Exception, pytest.fail.Exception) as error:
                say(f"{need.name}: {error}")
    for line in after(known):
        say(line)


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
        "put Node.js with npm on the PATH",
        lambda: ".cogo/npm" if is_fetched(name) else None,
        lambda: npm_package(name),
    )


def _browser() -> str | None:
    try:
        choice = find_browser(BrowserOptions(), install=False)
    except ExecutorUnavailable:
        return None
    return f"{choice.version}, {choice.executable_path}"


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
