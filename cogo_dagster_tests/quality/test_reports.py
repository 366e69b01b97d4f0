"""Reports of real tools are read; malicious, huge, truncated or empty reports are rejected."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogo_dagster.quality.gates import GateService
from cogo_dagster.quality.reports import ReportError, read_report
from cogo_dagster.quality.reports import files as report_files
from cogo_dagster.quality.reports.report import KINDS
from cogo_dagster.queue.artifacts import FolderStore
from cogo_dagster.queue.client import Queue
from cogo_dagster_tests.quality.real_reports import eslint_report, package_reports
from cogo_dagster_tests.queue.conformance.test_gate_runs import a_run

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>
<testsuites><testsuite><testcase name="&c;"/></testsuite></testsuites>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<testsuites><testsuite><testcase name="a">&x;</testcase></testsuite></testsuites>"""


def written(folder: Path, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / "report"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_eslint_on_a_real_package(tmp_path: Path) -> None:
    """The counts of a real ESLint report equal the sums of its messages."""
    path = eslint_report(tmp_path)
    messages = [message for file in json.loads(path.read_text()) for message in file["messages"]]
    facts = read_report("eslint", path).facts
    assert facts["lint_errors"] == sum(message["severity"] == 2 for message in messages) > 0
    assert facts["lint_warnings"] == sum(message["severity"] == 1 for message in messages)


RUFF_FORMATS = ["json", "json-lines", "sarif", "concise", "full", "grouped", "pylint", "rdjson", "gitlab", "github"]


@pytest.mark.parametrize("output_format", RUFF_FORMATS)
def test_ruff_in_every_output_format(tmp_path: Path, output_format: str) -> None:
    """Every output format of ruff gives the count of its statistics, including a syntax error."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("import os\nimport sys\n\n\ndef f():\n    x = 1\n    return y\n")
    (source / "b.py").write_text("def (:\n")
    command = [str(Path(sys.executable).parent / "ruff"), "check", "--isolated", "--no-cache", "--output-format"]
    statistics = subprocess.run([*command, "json", "--statistics", "."], cwd=source, capture_output=True, check=False)
    expected = sum(row["count"] for row in json.loads(statistics.stdout))
    report = tmp_path / "report"
    subprocess.run([*command, output_format, "-o", str(report), "."], cwd=source, capture_output=True, check=False)
    facts = read_report("eslint", report).facts
    assert (facts["lint_errors"], facts["lint_warnings"]) == (expected, 0)
    assert expected > 3


def test_pytest_counts_a_test_once(tmp_path: Path) -> None:
    """Pytest writes a failing test with a failing teardown twice; it is counted once."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef broken():\n    yield\n    raise OSError('\\x1b[31mred')\n\n\n"
        "def test_a(broken):\n    assert 0\n\n\ndef test_b(broken):\n    pytest.skip('late')\n\n\n"
        "@pytest.mark.skip\ndef test_c():\n    pass\n\n\ndef test_d():\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=j.xml", "test_it.py"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}  # those of this project
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    facts = read_report("junit", tmp_path / "j.xml").facts
    assert (facts["tests_total"], facts["tests_failed"]) == (3, 2)


def test_pytest_and_coverage_on_a_real_package() -> None:
    """coverage.py's JSON, Cobertura and lcov reports give the same coverage, and the JUnit report has every test."""
    home = package_reports()
    shares = [
        read_report("coverage", home / f"coverage.{kind}").facts["coverage_percent"] for kind in ("json", "xml", "lcov")
    ]
    totals = json.loads((home / "coverage.json").read_text())["totals"]
    assert shares[0] == round(100 * totals["covered_lines"] / totals["num_statements"], 2)
    assert shares == [shares[0]] * 3
    facts = read_report("junit", home / "junit.xml").facts
    assert facts["tests_total"] > 100
    assert facts["tests_failed"] == 0
    assert facts["test_seconds"] > 0


@pytest.mark.parametrize(
    ("kind", "text", "facts"),
    [
        ("eslint", "[]", {"lint_errors": 0, "lint_warnings": 0}),
        (
            "eslint",
            '[{"filePath": "a", "messages": [], "errorCount": 2, "warningCount": 3}]',
            {"lint_errors": 2, "lint_warnings": 3},
        ),
        (
            "eslint",
            '[{"code": "F401", "filename": "a.py", "message": "m"}, {"code": null, "filename": "b.py"}]',
            {"lint_errors": 2, "lint_warnings": 0},
        ),
        ("coverage", '{"total": {"lines": {"total": 4, "covered": 3, "pct": 75}}}', {"coverage_percent": 75}),
        ("coverage", "TN:\nSF:a.js\nDA:1,1\nDA:2,0\nend_of_record\n", {"coverage_percent": 50}),
        (
            "junit",
            '<testsuite tests="9"><testcase/><testcase><error/></testcase><testcase><skipped/></testcase></testsuite>',
            {"tests_total": 2, "tests_failed": 1, "tests_flaky": 0},
        ),
        ("junit", "\ufeff<testsuites/>", {"tests_total": 0, "tests_failed": 0, "tests_flaky": 0}),
    ],
)
def test_each_format_is_read(tmp_path: Path, kind: str, text: str, facts: dict[str, float]) -> None:
    """Formats are recognized by content."""
    assert read_report(kind, written(tmp_path, text)).facts == facts


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("junit", BOMB, "declares XML entities"),
        ("junit", OUTSIDE, "declares XML entities"),
        ("coverage", BOMB, "declares XML entities"),
        ("junit", "<testsuites><testsuite>", "not valid XML"),
        ("junit", "<html/>", "not JUnit's"),
        ("junit", "<testsuites>" * 300 + "</testsuites>" * 300, "nested too deeply"),
        ("coverage", '<coverage line-rate="0.5"><packages>', "not valid XML"),
        ("coverage", '<coverage line-rate="7"></coverage>', "as the coverage"),
        ("coverage", '<coverage lines-valid="0" line-rate="1"/>', "no measured lines"),
        ("coverage", '{"totals": {"percent_covered": "NaN"}}', "as the coverage"),
        ("coverage", '{"total": {"lines": {"pct": "Unknown"}}}', "no measured lines"),
        ("coverage", '{"a": NaN}', "not valid JSON"),
        ("coverage", "SF:a.js\nLF:10\nLH:5\n", "is truncated"),
        ("coverage", "SF:a.js\nLF:1\nLH:2\nend_of_record", "invalid counts"),
        ("coverage", "hello", "is not a coverage report"),
        ("eslint", "[" * 100_000, "JSON|nested"),
        ("eslint", '[{"messages": [], "errorCount": -1}]', "as the number of errors"),
        ("eslint", '[{"messages": [], "errorCount": 1' + "0" * 5_000 + "}]", "JSON|as the number of"),
        ("eslint", '{"errorCount": 0}', "is not a lint report"),
        ("eslint", "[1]", "is not a lint report"),
        ("eslint", '[{"a": 1}]', "JSON of an unknown linter"),
        ("eslint", "", "is empty"),
        ("eslint", " \n ", "is empty"),
        ("eslint", b"\xff\xfe[\x00", "not valid JSON"),
    ],
)
def test_an_invalid_report_is_rejected_with_a_message(
    tmp_path: Path, kind: str, text: str | bytes, expected: str
) -> None:
    """An invalid report is rejected with a message that names the file."""
    with pytest.raises(ReportError, match=expected) as error:
        read_report(kind, written(tmp_path, text))
    message = str(error.value)
    assert message.startswith("The report report ")
    assert message.endswith(".")
    assert "\n" not in message


def test_a_missing_or_huge_report_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing report, an empty folder and a huge file are rejected."""
    with pytest.raises(ReportError, match="No such file"):
        read_report("eslint", tmp_path / "none.json")
    with pytest.raises(ReportError, match="is a folder without"):
        read_report("eslint", tmp_path)
    monkeypatch.setattr(report_files, "MAX_BYTES", 2**20)
    with pytest.raises(ReportError, match="has 2 MiB; the limit is 1 MiB"):
        read_report("eslint", written(tmp_path, b"[" + b" " * 2**21 + b"]"))


@given(
    st.sampled_from(sorted(KINDS)),
    st.text(max_size=60) | st.from_regex(r"[\[{<](\w|[<>/\[\]{}:,\" ])*", fullmatch=True),
)
def test_any_text_is_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, kind: str, text: str) -> None:
    """Any text is either read with valid facts or rejected with a ReportError."""
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        facts = read_report(kind, path).facts
    except ReportError:
        return
    assert all(isinstance(value, int | float) and value >= 0 for value in facts.values())


def test_reports_become_artifacts_of_the_run(gates: GateService, queue: Queue, store: FolderStore) -> None:
    """Reports are stored as artifacts with their bytes and a link; identical reports are one artifact."""
    home = package_reports()
    reports = {"coverage": home / "coverage.json", "junit": home / "junit.xml"}
    first, _ = gates.record_reports(a_run(test_seconds=9.5), reports)
    second, _ = gates.record_reports(a_run(), reports)
    cases = ET.parse(reports["junit"]).findall(".//testcase")  # six skips tests of modules that are not installed
    tests = sum(case.find("skipped") is None for case in cases)
    assert tests > 150
    assert (first.coverage_percent, first.tests_total, first.test_seconds) == (second.coverage_percent, tests, 9.5)
    assert first.junit_url == f"https://ops/api/artifacts/{first.junit_artifact_id}"
    assert first.junit_artifact_id == second.junit_artifact_id
    kept = {row.document["id"]: row for row in queue.list_artifacts()}
    assert len(kept) == 2
    with store.open(kept[first.junit_artifact_id].document["storage_key"]) as read:
        assert read.read() == reports["junit"].read_bytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"<testsuites><testsuite>", "not valid XML"),
        (b"", "is empty"),
        (b"\0" * 4_096, "is empty"),
        (b"\x1f\x8b\x08\0cut", "damaged gzip"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not XML"),
        (None, "No such file"),
    ],
)
def test_a_run_with_an_unreadable_report_is_recorded(  # noqa: PLR0917 - fixtures
    gates: GateService, queue: Queue, store: FolderStore, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    """A gate run with an invalid report is recorded with a note and the file; its other report is read."""
    path = tmp_path / "broken.xml"
    if content is not None:
        path.write_bytes(content)
    lint = written(tmp_path, '[{"filePath": "a", "messages": [], "errorCount": 2}]')
    kept, created = gates.record_reports(a_run(status="fail"), {"junit": path, "eslint": lint})
    assert (created, kept.status, kept.tests_total, kept.lint_errors) == (True, "fail", None, 2)
    assert kept.notes["junit"].startswith("report unread: The report broken.xml ")
    assert expected in kept.notes["junit"]
    assert gates.recent(None) == [kept]
    if content:
        [row] = [row for row in queue.list_artifacts() if row.document["id"] == kept.junit_artifact_id]
        with store.open(row.document["storage_key"]) as read:
            assert read.read() == content


def test_the_start_of_a_report_that_is_too_large_is_stored(
    gates: GateService, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a report that is too large, only the start is stored."""
    monkeypatch.setattr(report_files, "MAX_BYTES", 2**20)
    path = written(tmp_path, b"<testsuites>" + b" " * 2**21)
    kept, _ = gates.record_reports(a_run(status="fail"), {"junit": path})
    assert "the limit is 1 MiB" in kept.notes["junit"]
    [row] = queue.list_artifacts()
    assert row.document["size_bytes"] == 2**20


def test_several_reports_of_a_kind_are_stored_as_one_archive(gates: GateService, queue: Queue, tmp_path: Path) -> None:
    """Several reports of a kind are stored as one ZIP archive with reproducible bytes."""
    for name in ("a.xml", "b.xml"):
        (tmp_path / name).write_text("<testsuite><testcase name='x'/></testsuite>")
    kept = [gates.record_reports(a_run(), {"junit": [tmp_path / "a.xml", tmp_path / "b.xml"]})[0] for _ in range(2)]
    assert [run.tests_total for run in kept] == [2, 2]
    [row] = queue.list_artifacts()
    assert (row.document["name"], row.document["content_type"]) == ("junit.zip", "application/zip")
