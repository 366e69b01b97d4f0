"""JUnit XML, as pytest, jest, gradle and the rest write it. Test cases are counted; what the suites claim is not.

A test is one class and name, with its last outcome: a failure with a failing teardown is one failed test, and one that
failed first and passed then is a flaky one that passed. What the suites claim is taken only where no case says more: an
error outside every test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from cogo_dagster.quality.reports.durations import seconds_of
from cogo_dagster.quality.reports.files import count_in, events, other_format, shown
from cogo_dagster.queue.model import Json

_FAILED: Final = frozenset({"failure", "error", "rerunFailure", "rerunError"})
_FLAKY: Final = frozenset({"flakyFailure", "flakyError"})
_NOT_RUN: Final = frozenset({"skipped", "disabled", "ignored", "notrun", "pending"})
_FAILED_WORDS: Final = frozenset({"fail", "failed", "failure", "error", "errored", "broken"})
_NOT_RUN_WORDS: Final = frozenset(
    {"notrun", "not_run", "not-run", "disabled", "skip", "skipped", "suppressed", "ignored", "pending", "untested"}
)

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
Key = tuple[str, ...]


@dataclass(slots=True)
class _Suite:
    claimed: int
    failed: int = 0


@dataclass(slots=True)
class Tests:
    """What one file says.

    Attributes:
        outside: Failures outside every test.
        times: As written, of each case that has one.
    """

    outcomes: dict[Key, str] = field(default_factory=dict)
    flaky: set[Key] = field(default_factory=set)
    outside: int = 0
    times: list[str] = field(default_factory=list)

    def add(self, key: Key, case: Element) -> bool:
        """Count a case; return whether it failed."""
        outcome, flaky = outcome_of(case)
        before = self.outcomes.get(key)
        # A case that did not run says nothing against an outcome that is known.
        if before is None or outcome != NOT_RUN:
            self.outcomes[key] = outcome
        if flaky or {before, outcome} == {PASSED, FAILED}:
            self.flaky.add(key)
        return outcome == FAILED

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return sum(found == outcome for found in self.outcomes.values())


def read_junit(files: Sequence[tuple[Path, str]]) -> tuple[dict[str, Json], list[str]]:
    """Return `tests_total` (that ran), `tests_failed`, `tests_flaky`, `test_seconds` where the cases have times; notes.

    Tests of the same name in two files are two tests.

    Raises:
        ReportError: One of them is no such report.
    """
    found = [_read(path, text) for path, text in files]
    outside = sum(one.outside for one in found)
    failed = sum(one.count(FAILED) for one in found) + outside
    facts: dict[str, Json] = {
        "tests_total": sum(one.count(PASSED) for one in found) + failed,
        "tests_failed": failed,
        "tests_flaky": sum(sum(one.outcomes[key] == PASSED for key in one.flaky) for one in found),
    }
    notes: list[str] = []
    seconds: list[float] = []
    for (path, _), one in zip(files, found, strict=True):
        total, unread = seconds_of(one.times)
        if unread:
            times = "time" if len(unread) == 1 else "times"
            notes.append(
                f"The report {shown(path)} has {len(unread):,} {times} that cannot be read ({unread[0][:40]!r})."
            )
        if total is not None:
            seconds.append(total)
    if seconds and not notes:
        facts["test_seconds"] = round(sum(seconds), 3)
    return facts, notes


def outcome_of(case: Element) -> tuple[str, bool]:
    """Return how a test case ended, and whether it says of itself that it is flaky."""
    tags = {child.tag for child in case}
    words = {(case.get(name) or "").strip().lower() for name in ("status", "result")}
    if tags & _FAILED:
        return FAILED, False
    if tags & _FLAKY:
        return PASSED, True
    if tags & _NOT_RUN or words & _NOT_RUN_WORDS or (case.get("executed") or "").lower() == "false":
        return NOT_RUN, False
    return (FAILED if words & _FAILED_WORDS else PASSED), False


def _read(path: Path, text: str) -> Tests:
    if not text.lstrip("\ufeff\0 \t\r\n").startswith("<"):
        raise other_format(path, "is no XML: JUnit's <testsuites> is read")
    tests = Tests()
    suites: list[_Suite] = []
    names: list[Element] = []
    for event, element, depth in events(path, text, "testcase"):
        if depth == 1 and event == "start" and element.tag not in ("testsuites", "testsuite"):
            raise other_format(path, f"is XML of <{str(element.tag)[:40]}>, not JUnit's <testsuites>")
        if element.tag in ("testsuites", "testsuite"):
            if event == "start":
                suites.append(_Suite(_claimed(element)))
                names.append(element)
            else:
                names.pop()
                _close(tests, suites)
        elif event == "end":
            failed = _count(tests, element, names, depth)
            suites[-1].failed += failed
    return tests


def _count(tests: Tests, element: Element, suites: list[Element], depth: int) -> int:
    """Count what ended inside a suite; return how many failures it is."""
    if element.tag == "testcase":
        if (time := element.get("time")) and time.strip():
            tests.times.append(time)
        return tests.add(_key(element, suites, len(tests.outcomes)), element)
    if element.tag in ("failure", "error") and depth == len(suites) + 1:
        tests.outside += 1
        return 1
    return 0


def _close(tests: Tests, suites: list[_Suite]) -> None:
    """End a suite: failures that it claims and nothing inside it shows happened outside every test."""
    ended = suites.pop()
    if ended.claimed and not ended.failed:
        tests.outside += ended.claimed
        ended.failed = ended.claimed
    if suites:
        suites[-1].failed += ended.failed


def _claimed(suite: Element) -> int:
    return sum(count_in(suite.get(name)) or 0 for name in ("failures", "errors"))


def _key(case: Element, suites: list[Element], number: int) -> Key:
    """Return what makes a test this one. The host tells the browsers of one Playwright run apart."""
    suite = suites[-1]
    name = case.get("name")
    if not name:
        return (str(number),)  # of a case without a name nothing says that it is another one again
    file = case.get("file") or suite.get("file") or ""
    return suite.get("hostname") or "", file, case.get("classname") or suite.get("name") or "", name
