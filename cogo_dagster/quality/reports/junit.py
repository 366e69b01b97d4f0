"""JUnit XML, as written by pytest, jest, Gradle and others. Test cases are counted, not the totals of the suites.

A test is identified by class and name and has the outcome of its last case: a failure with a failing teardown is one
failed test, and a failure followed by a pass is a flaky test that passed. The totals of a suite are used only if none
of its cases has failed: then the errors occurred outside the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from cogo_dagster.quality.reports.durations import seconds_of
from cogo_dagster.quality.reports.files import count_in, events, other_format, safe_name
from cogo_dagster.queue.model import Json

_FAILED: Final = frozenset({"failure", "error", "rerunFailure", "rerunError"})
_FLAKY: Final = frozenset({"flakyFailure", "flakyError"})
_NOT_RUN: Final = frozenset({"skipped", "disabled", "ignored", "notrun", "pending"})
_FAILED_VALUES: Final = frozenset({"fail", "failed", "failure", "error", "errored", "broken"})
_NOT_RUN_VALUES: Final = frozenset(
    {"notrun", "not_run", "not-run", "disabled", "skip", "skipped", "suppressed", "ignored", "pending", "untested"}
)

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
Key = tuple[str, ...]


@dataclass(slots=True)
class _Suite:
    reported: int
    failed: int = 0


@dataclass(slots=True)
class Tests:
    """The tests of one file.

    Attributes:
        outside: The number of failures outside the tests.
        times: The times of the cases, unparsed.
    """

    outcomes: dict[Key, str] = field(default_factory=dict)
    flaky: set[Key] = field(default_factory=set)
    outside: int = 0
    times: list[str] = field(default_factory=list)

    def add(self, key: Key, case: Element) -> bool:
        """Add a case; return whether it failed."""
        outcome, flaky = outcome_of(case)
        before = self.outcomes.get(key)
        # A case that did not run does not replace a known outcome.
        if before is None or outcome != NOT_RUN:
            self.outcomes[key] = outcome
        if flaky or {before, outcome} == {PASSED, FAILED}:
            self.flaky.add(key)
        return outcome == FAILED

    def count(self, outcome: str) -> int:
        """Return the number of tests with an outcome."""
        return sum(found == outcome for found in self.outcomes.values())


def read_junit(files: Sequence[tuple[Path, str]]) -> tuple[dict[str, Json], list[str]]:
    """Return `tests_total` (that ran), `tests_failed`, `tests_flaky`, `test_seconds` (if cases have times), and notes.

    Tests with the same name in two files are two tests.

    Raises:
        ReportError: A file is not a JUnit report.
    """
    found = [_read(path, text) for path, text in files]
    outside = sum(tests.outside for tests in found)
    failed = sum(tests.count(FAILED) for tests in found) + outside
    facts: dict[str, Json] = {
        "tests_total": sum(tests.count(PASSED) for tests in found) + failed,
        "tests_failed": failed,
        "tests_flaky": sum(sum(tests.outcomes[key] == PASSED for key in tests.flaky) for tests in found),
    }
    notes: list[str] = []
    seconds: list[float] = []
    for (path, _), tests in zip(files, found, strict=True):
        total, invalid = seconds_of(tests.times)
        if invalid:
            times = "time" if len(invalid) == 1 else "times"
            notes.append(f"The report {safe_name(path)} has {len(invalid):,} invalid {times} ({invalid[0][:40]!r}).")
        if total is not None:
            seconds.append(total)
    if seconds and not notes:
        facts["test_seconds"] = round(sum(seconds), 3)
    return facts, notes


def failed_tests(files: Sequence[tuple[Path, str]], max_tests: int = 100) -> list[str]:
    """Return the names of failed tests, in the order of the files.

    Raises:
        ReportError: A file is not a JUnit report.
    """
    found = [key for path, text in files for key, outcome in _read(path, text).outcomes.items() if outcome == FAILED]
    return [" › ".join(part for part in key if part) for key in found[:max_tests]]


def outcome_of(case: Element) -> tuple[str, bool]:
    """Return the outcome of a test case, and whether it is marked as flaky."""
    tags = {child.tag for child in case}
    values = {(case.get(name) or "").strip().lower() for name in ("status", "result")}
    if tags & _FAILED:
        return FAILED, False
    if tags & _FLAKY:
        return PASSED, True
    if tags & _NOT_RUN or values & _NOT_RUN_VALUES or (case.get("executed") or "").lower() == "false":
        return NOT_RUN, False
    return (FAILED if values & _FAILED_VALUES else PASSED), False


def _read(path: Path, text: str) -> Tests:
    if not text.lstrip("\ufeff\0 \t\r\n").startswith("<"):
        raise other_format(path, "is not XML: use JUnit XML")
    tests = Tests()
    suites: list[_Suite] = []
    names: list[Element] = []
    for event, element, depth in events(path, text, "testcase"):
        if depth == 1 and event == "start" and element.tag not in ("testsuites", "testsuite"):
            raise other_format(path, f"is XML with the root <{str(element.tag)[:40]}>, not JUnit's <testsuites>")
        if element.tag in ("testsuites", "testsuite"):
            if event == "start":
                suites.append(_Suite(_reported(element)))
                names.append(element)
            else:
                names.pop()
                _close(tests, suites)
        elif event == "end":
            failed = _count(tests, element, names, depth)
            suites[-1].failed += failed
    return tests


def _count(tests: Tests, element: Element, suites: list[Element], depth: int) -> int:
    """Count an element that ended inside a suite; return its number of failures."""
    if element.tag == "testcase":
        if (time := element.get("time")) and time.strip():
            tests.times.append(time)
        return tests.add(_key(element, suites, len(tests.outcomes)), element)
    if element.tag in ("failure", "error") and depth == len(suites) + 1:
        tests.outside += 1
        return 1
    return 0


def _close(tests: Tests, suites: list[_Suite]) -> None:
    """End a suite. If it reports failures and none of its cases has failed, they happened outside the tests."""
    ended = suites.pop()
    if ended.reported and not ended.failed:
        tests.outside += ended.reported
        ended.failed = ended.reported
    if suites:
        suites[-1].failed += ended.failed


def _reported(suite: Element) -> int:
    return sum(count_in(suite.get(name)) or 0 for name in ("failures", "errors"))


def _key(case: Element, suites: list[Element], number: int) -> Key:
    """Return the identity of a test. Playwright writes the browser as the host name."""
    suite = suites[-1]
    name = case.get("name")
    if not name:
        return (str(number),)  # cases without a name are different tests
    file = case.get("file") or suite.get("file") or ""
    return suite.get("hostname") or "", file, case.get("classname") or suite.get("name") or "", name
