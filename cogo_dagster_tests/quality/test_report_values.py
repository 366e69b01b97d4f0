"""The values read from reports, for each variant of the formats."""

# ruff: noqa: E501, ISC004 - a row of a table is one line

import gzip
import json
from pathlib import Path

import pytest

from cogo_dagster.quality.reports import ReportError, read_report
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.quality.test_reports import written

Facts = dict[str, Json]


def junit(folder: Path, text: str | bytes) -> Facts:
    """Return the facts of a JUnit report."""
    return dict(read_report("junit", written(folder, text)).facts)


def ran(facts: Facts) -> tuple[int, int, int]:
    """Return the number of tests that ran, failed, and were flaky."""
    return facts["tests_total"], facts["tests_failed"], facts["tests_flaky"]


def suite(inside: str, attributes: str = "") -> str:
    """Return a report with one suite."""
    return f"<testsuites><testsuite name='s' {attributes}>{inside}</testsuite></testsuites>"


RED = "<testcase name='red'><failure message='x'>{}</failure></testcase><testcase name='ok'/>"


@pytest.mark.parametrize(
    "inside",
    [
        "\x1b[31mred\x1b[0m",
        "&#27;[31m",
        "&#x1B;[31m",
        "&#x1b;",
        "a\0b",
        "&#0;",
        "&#xFFFE;",
        "\uffff",
        "&#xD800;",
        "&#99999999;",
        "<![CDATA[\x1b[31m &#27; \x08]]>",
    ],
)
def test_characters_that_xml_forbids_are_removed(tmp_path: Path, inside: str) -> None:
    """Forbidden characters, literal or as references, are removed: failure messages often contain them."""
    assert ran(junit(tmp_path, suite(RED.format(inside)))) == (2, 1, 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"])
def test_every_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    """Reports are decoded in every encoding, with or without a byte order mark, and compressed."""
    text = suite(RED.format("caf\u00e9"))
    assert ran(junit(tmp_path, text.encode(encoding))) == (2, 1, 0)
    assert ran(junit(tmp_path, gzip.compress(text.encode(encoding)))) == (2, 1, 0)


@pytest.mark.parametrize("encoding", ["euc-kr", "shift_jis", "iso-8859-1", "utf-16", "utf-99", "US-ASCII"])
def test_the_declared_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    """The declared encoding is used, so that different names remain different; an impossible one is ignored."""
    names = "\uac00\ub098" if encoding == "euc-kr" else "\u30bd\u30bf" if encoding == "shift_jis" else "ab"
    text = f"<?xml version='1.1' encoding='{encoding}' standalone='yes'?>\n" + suite(
        "".join(f"<testcase name='{name}'/>" for name in names)
    )
    codec = encoding if encoding in ("euc-kr", "shift_jis", "iso-8859-1") else "utf-8"
    assert ran(junit(tmp_path, text.encode(codec))) == (2, 0, 0)


def test_a_gzip_bomb_is_rejected(tmp_path: Path) -> None:
    """A gzip file that is larger than 64 MiB after decompression is rejected."""
    with pytest.raises(ReportError, match="after decompression"):
        junit(tmp_path, gzip.compress(b" " * (65 * 2**20), 1))


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<testcase name='a'><skipped/><error/></testcase>", (1, 1, 0)),
        ("<testcase name='a'><skipped/></testcase>", (0, 0, 0)),
        ("<testcase name='a'><failure/><failure/><error/></testcase>", (1, 1, 0)),
        ("<testcase classname='c' name='a'><failure/></testcase><testcase classname='c' name='a'><error/></testcase>", (1, 1, 0)),
        ("<testcase classname='c' name='a'><failure/></testcase><testcase classname='c' name='a'/>", (1, 0, 1)),
        ("<testcase classname='c' name='a'/><testcase classname='c' name='a'><error/></testcase>", (1, 1, 0)),
        ("<testcase classname='c' name='a'/><testcase classname='d' name='a'/>", (2, 0, 0)),
        ("<testcase name='a'><flakyFailure/><flakyError/></testcase>", (1, 0, 1)),
        ("<testcase name='a'><failure/><rerunFailure/></testcase>", (1, 1, 0)),
        ("<testcase name='a' status='notrun' result='suppressed'/><testcase name='b' status='run'/>", (1, 0, 0)),
        ("<testcase name='a' status='disabled'/><testcase name='b'><disabled/></testcase>", (0, 0, 0)),
        ("<testcase name='a' result='SKIPPED'/><testcase name='b' executed='false'/>", (0, 0, 0)),
        ("<testcase name='a' status='failed'/>", (1, 1, 0)),
        ("<error message='collection'/><testcase name='a'/>", (2, 1, 0)),
    ],
)  # fmt: skip
def test_a_test_is_counted_once(tmp_path: Path, inside: str, expected: tuple[int, int, int]) -> None:
    """A test is identified by class and name and has its last outcome; tests that did not run are not counted."""
    assert ran(junit(tmp_path, suite(inside))) == expected


def test_failures_outside_a_test_are_counted(tmp_path: Path) -> None:
    """Errors that a suite reports are counted only if none of its cases has failed."""
    assert ran(junit(tmp_path, suite("<testcase name='a'/>", "errors='1' failures='0'"))) == (2, 1, 0)
    assert ran(junit(tmp_path, suite("", "tests='0' errors='2'"))) == (2, 2, 0)
    shown = "<testcase name='a'><error/></testcase>"
    assert ran(junit(tmp_path, suite(shown, "errors='1' failures='1'"))) == (1, 1, 0)
    assert ran(junit(tmp_path, f"<testsuites errors='1'>{suite(shown)[12:-13]}</testsuites>")) == (1, 1, 0)


def test_one_test_in_two_browsers_is_two(tmp_path: Path) -> None:
    """The same test in two browsers of Playwright counts twice."""
    one = "<testsuite name='a.spec.ts' hostname='{}'><testcase classname='a.spec.ts' name='t'>{}</testcase></testsuite>"
    text = f"<testsuites>{one.format('chromium', '<failure/>')}{one.format('firefox', '')}</testsuites>"
    assert ran(junit(tmp_path, text)) == (2, 1, 0)


def test_namespaces_are_ignored(tmp_path: Path) -> None:
    """XML namespaces are ignored."""
    assert ran(junit(tmp_path, "<testsuites xmlns='urn:x'><testsuite><testcase/></testsuite></testsuites>")) == (
        1,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["1,234.5", "2.0"], 1236.5),
        (["1,234", "2.5"], 1236.5),
        (["1,234,567.5"], 1_234_567.5),
        (["1.234,5", "0,5"], 1235),
        (["0,288", "1,234"], 1.522),
        (["1,234.5", "0,288"], 1234.788),
        (["1 234,5"], 1234.5),
        (["1'234.5"], 1234.5),
        (["1e-3", ".5", "2."], 2.501),
        (["250ms", "1 s"], 1.25),
        (["-1", "2"], 2),
    ],
)
def test_times_are_parsed_in_all_formats(tmp_path: Path, times: list[str], seconds: float) -> None:
    """Times with thousands separators, and with decimal points or commas, are parsed."""
    cases = "".join(f'<testcase name="{at}" time="{time}"/>' for at, time in enumerate(times))
    assert junit(tmp_path, suite(cases))["test_seconds"] == pytest.approx(seconds)


def test_an_invalid_time_is_noted(tmp_path: Path) -> None:
    """If a time is invalid, there is no total, and a note says so."""
    path = written(tmp_path, suite("<testcase name='a' time='soon'/><testcase name='b' time='2'/>"))
    report = read_report("junit", path)
    assert "test_seconds" not in report.facts
    assert report.notes == ("The report report has 1 invalid time ('soon').",)


def coverage(folder: Path, text: str) -> tuple[float, float | None]:
    """Return line and branch coverage in per cent."""
    facts = read_report("coverage", written(folder, text)).facts
    return facts["coverage_percent"], facts.get("branch_coverage_percent")


COVERAGE_PY = {"covered_lines": 10, "num_statements": 11, "percent_covered": 76.47}
JACOCO = (
    "<!DOCTYPE report PUBLIC '-//JACOCO//DTD Report 1.1//EN' 'report.dtd'><report name='x'><package name='p'>"
    "<counter type='LINE' missed='9' covered='9'/></package><counter type='INSTRUCTION' missed='3' covered='97'/>"
    "<counter type='LINE' missed='10' covered='30'/><counter type='BRANCH' missed='1' covered='3'/></report>"
)
CLASSES = "<packages><package><classes><class filename='a'>{}</class></classes></package></packages>"
LINES = "<lines><line number='1' hits='1'/><line number='2' hits='0' condition-coverage='50% (1/2)'/></lines>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps({"totals": COVERAGE_PY | {"num_branches": 6, "covered_branches": 3}}), (90.91, 50)),
        ("<coverage lines-valid='11' lines-covered='10' line-rate='0.9' branches-valid='6' branches-covered='3'/>", (90.91, 50)),
        ("<coverage line-rate='0.97' lines-covered='350' lines-valid='362'/>", (96.69, None)),
        (f"<coverage line-rate='0.9'>{CLASSES.format(LINES)}</coverage>", (50, 50)),
        (f"<coverage line-rate='0.9'>{CLASSES.format('<methods><method>' + LINES + '</method></methods>' + LINES)}</coverage>", (50, 50)),
        (f"<coverage line-rate='0.9'>{CLASSES.format('')}</coverage>", (90, None)),
        ("<coverage><project><metrics statements='8' coveredstatements='5' conditionals='2' coveredconditionals='1'/>"
         "<file><metrics statements='1' coveredstatements='1'/></file></project></coverage>", (62.5, 50)),
        (JACOCO, (75, 75)),
        ("SF:a\nDA:1,1\nDA:2,0\nBRDA:1,0,0,1\nBRDA:1,0,1,-\nLF:2\nLH:1\nend_of_record\n"
         "SF:a\nDA:1,0\nDA:2,1\nBRDA:1,0,1,2\nLF:2\nLH:1\nend_of_record\n", (100, 100)),
        ("SF:a\nDA:1,1\nend_of_record\nSF:b\nDA:1,0\nLF:1\nLH:0\nend_of_record\n", (50, None)),
        ("SF:a\nLF:4\nLH:3\nend_of_record\n", (75, None)),
        ('{"total": {"lines": {"total": 3, "covered": 2, "pct": 66.66}, "branches": {"total": 4, "covered": 1}}}', (66.67, 25)),
        ("mode: set\na.go:1.1,2.2 3 1\na.go:3.1,4.2 1 0\na.go:3.1,4.2 1 0\n", (75, None)),
        ("<coverage lines-covered='99999' lines-valid='100000'/>", (99.99, None)),
    ],
)  # fmt: skip
def test_coverage_is_computed_from_counts(tmp_path: Path, text: str, expected: tuple[float, float | None]) -> None:
    """Line and branch coverage are computed from counts; the tool's percentage is used only without counts."""
    assert coverage(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"totals": {"covered_lines": 0, "num_statements": 0, "percent_covered": 100.0}}',
        '{"total": {"lines": {"total": 0, "covered": 0, "pct": 100}}}',
        '{"total": {"lines": {"total": 0, "covered": 0, "pct": "Unknown"}}}',
        "<coverage line-rate='1' lines-valid='0' lines-covered='0'/>",
        "<coverage line-rate='1'><packages/></coverage>",
        "<coverage line-rate='0'/>",
        "<coverage generated='1'><project><metrics statements='0' coveredstatements='0'/></project></coverage>",
        "<report name='x'/>",
        "<report name='x'><counter type='LINE' missed='0' covered='0'/></report>",
        "TN:\nSF:a\nLF:0\nLH:0\nend_of_record\n",
        "mode: set\n",
    ],
)
def test_a_report_without_measured_lines_is_rejected(tmp_path: Path, text: str) -> None:
    """A report without measured lines is rejected in every format."""
    with pytest.raises(ReportError, match="no measured lines"):
        coverage(tmp_path, text)


ESLINT_ROW = {"filePath": "a.js", "messages": [], "errorCount": 2, "warningCount": 1}
SARIF: Json = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"rules": [{"id": "R", "defaultConfiguration": {"level": "error"}}]}},
            "results": [
                {"ruleId": "R"},
                {"ruleId": "X"},
                {"level": "note"},
                {"level": "error", "suppressions": [{"kind": "inSource"}]},
                {"level": "error", "kind": "pass"},
            ],
            "invocations": [{"toolExecutionNotifications": [{"level": "error", "message": {"text": "parse"}}]}],
        }
    ],
}
CHECKSTYLE = (
    '<?xml version="1.0"?><checkstyle><file name="a"><error severity="error"/><error severity="warning"/>'
    '<error severity="info"/><error/></file></checkstyle>'
)
PYLINT_TEXT = (
    "************* Module a\na.py:1:0: C0114: Missing module docstring (missing-module-docstring)\n"
    "a.py:2:0: E0602: Undefined variable 'x' (undefined-variable)\n\n-----\nYour code has been rated at 0.00/10\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps([ESLINT_ROW]).encode("utf-16"), (2, 1)),
        (json.dumps({"results": [ESLINT_ROW], "metadata": {"cwd": "/app"}}), (2, 1)),
        (json.dumps(SARIF), (2, 1)),
        (json.dumps(SARIF, indent=1), (2, 1)),
        (CHECKSTYLE, (2, 1)),
        ('{"summary": {"errors": 3, "warnings": 4, "changed": 0}, "diagnostics": [], "command": "lint"}', (3, 4)),
        ('{"diagnostics": [{"severity": "error"}, {"severity": "warning"}], "number_of_files": 2}', (1, 1)),
        ('{"diagnostics": [{"severity": "ERROR"}, {"severity": "WARNING"}, {}], "severity": "warning"}', (1, 2)),
        ('[{"source": "a.css", "warnings": [{"severity": "error"}, {"severity": "warning"}], "parseErrors": [{}]}]', (2, 1)),
        ('[{"type": "convention", "path": "a", "message": "m"}, {"type": "fatal", "path": "a", "message": "m"}]', (1, 1)),
        ('{"messages": [{"type": "error", "path": "a", "message": "m"}], "statistics": {}}', (1, 0)),
        ('{"file": "a.py", "severity": "error"}\n{"file": "a.py", "severity": "note"}\n', (1, 0)),
        ('{"code": "F401", "filename": "a.py"}\n{"code": null, "filename": "b.py"}\n', (2, 0)),
        ("a.py:1:8: F401 [*] `os` imported but unused\nFound 1 error.\n[*] 1 fixable with the `--fix` option.\n", (1, 0)),
        ("All checks passed!\n", (0, 0)),
        (PYLINT_TEXT, (1, 1)),
        ("a.py:3: error: Incompatible types  [assignment]\na.py:3: note: See\nFound 1 error in 1 file (checked 1 source file)\n", (1, 0)),
    ],
)  # fmt: skip
def test_lint_reports_are_read_in_all_formats(tmp_path: Path, text: str | bytes, expected: tuple[int, int]) -> None:
    """Errors and warnings are counted by the tool's severity; suppressed and informational findings are not."""
    facts = read_report("eslint", written(tmp_path, text)).facts
    assert (facts["lint_errors"], facts["lint_warnings"]) == expected


def test_output_before_the_report_is_reported(tmp_path: Path) -> None:
    """Other output before the report, as of `npm run`, is reported with a remedy."""
    with pytest.raises(ReportError, match="its option -o"):
        read_report("eslint", written(tmp_path, "\n> shop@1.0.0 lint\n> eslint -f json .\n\n[]"))


def test_several_files_of_a_kind_are_added_up(tmp_path: Path) -> None:
    """Files given by name, folder or pattern are combined; each counts once, and other formats in a folder are skipped."""
    folder = tmp_path / "results" / "deep"
    folder.mkdir(parents=True)
    (folder / "TEST-a.xml").write_text("<testsuite><testcase name='x' time='1'/></testsuite>")
    (folder.parent / "TEST-b.xml").write_text("<testsuite><testcase name='x' time='2'><error/></testcase></testsuite>")
    (folder / "summary.xml").write_text("<failsafe-summary/>")
    named = [folder / "TEST-a.xml", folder.parent / "TEST-b.xml"]
    for given in (named, named + named, [tmp_path / "results"], [tmp_path / "**" / "TEST-*.xml"], tmp_path / "results"):
        facts = read_report("junit", given).facts
        assert (*ran(dict(facts)), facts["test_seconds"]) == (2, 1, 0, 3)
    with pytest.raises(ReportError, match="matches no file"):
        read_report("junit", tmp_path / "none-*.xml")
    with pytest.raises(ReportError, match="failsafe-summary"):
        read_report("junit", [*named, folder / "summary.xml"])


def test_coverage_of_several_packages_is_weighted_by_lines(tmp_path: Path) -> None:
    """Coverage of several reports is weighted by lines; a report without counts cannot be combined."""
    files = {
        "a": "<coverage lines-valid='10' lines-covered='10'/>",
        "b": "<coverage lines-valid='30' lines-covered='0'/>",
    }
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_text(files[path.name])
    assert read_report("coverage", paths).facts == {"coverage_percent": 25}
    paths[1].write_text("<coverage line-rate='0.5'/>")
    with pytest.raises(ReportError, match="has no counts"):
        read_report("coverage", paths)
