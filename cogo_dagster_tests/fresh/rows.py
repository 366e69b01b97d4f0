"""The test matrix: the demo for every account and kind of machine, the tests once on each Debian."""

from dataclasses import dataclass
from itertools import product
from typing import Final

from cogo_dagster_tests.fresh.readme import start

SUITES: Final = ("bookworm", "trixie")
NEXT_SUITE: Final = "sid"
"""Debian's development release, with the newest Python; its packages change daily, so it runs only by name."""
USER: Final = "newcomer"


@dataclass(frozen=True, slots=True)
class Row:
    """One run of the matrix.

    Attributes:
        suite: Name of the Debian release.
        account: The account that runs the commands.
        namespaces: Whether unprivileged users may create user namespaces.
        what: `demo` or `tests`.
        limit_seconds: Time limit.
    """

    suite: str
    account: str
    namespaces: bool
    what: str
    limit_seconds: float

    @property
    def name(self) -> str:
        """The row's name for the report."""
        return f"{self.suite} {self.account} {'allowed' if self.namespaces else 'denied'} {self.what}"

    @property
    def before(self) -> tuple[str, ...]:
        """The commands that root runs first; root itself gets its browser from the demo or the tests."""
        typed = start()
        return (typed.packages,) if self.account == "root" else (typed.packages, typed.browser)

    @property
    def commands(self) -> tuple[str, str]:
        """The commands that the account runs."""
        typed = start()
        return (typed.install, typed.demo if self.what == "demo" else typed.test)


def all_rows() -> list[Row]:
    """Return the rows of the releases."""
    kinds = product(SUITES, (USER, "root"), (True, False))
    demos = [Row(suite, account, namespaces, "demo", 1_800) for suite, account, namespaces in kinds]
    return [*demos, *(_tests(suite) for suite in SUITES)]


def next_rows() -> list[Row]:
    """Return the rows of the development release."""
    return [Row(NEXT_SUITE, USER, True, "demo", 1_800), _tests(NEXT_SUITE)]


def _tests(suite: str) -> Row:
    return Row(suite, USER, True, "tests", 10_800)
