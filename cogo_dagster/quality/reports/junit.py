"""JUnit XML, as pytest, jest, gradle and the rest write it. Test cases are counted; what the suites claim is not."""

from pathlib import Path

from cogo_dagster.quality.reports.files import elements, number_of, refuse
from cogo_dagster.queue.model import Json


def read_junit(path: Path, text: str) -> dict[str, Json]:
    """Return `tests_total` (without the skipped ones), `tests_failed`, and `test_seconds` where the cases have times.

    Raises:
        ReportError: It is no such report.
    """
    total = failed = 0
    seconds, timed, root = 0.0, False, None
    for element in elements(path, text):
        if root is None:
            root = element.tag
            if root not in ("testsuites", "testsuite"):
                refuse(path, f"is XML of <{str(root)[:40]}>, not JUnit's <testsuites>")
            continue
        if element.tag == "testcase":
            outcomes = {child.tag for child in element}
            total += "skipped" not in outcomes
            failed += bool(outcomes & {"failure", "error"})
            time = number_of(element.get("time"))
            seconds, timed = seconds + max(time or 0, 0), timed or time is not None
    return {"tests_total": total, "tests_failed": failed} | ({"test_seconds": round(seconds, 3)} if timed else {})
