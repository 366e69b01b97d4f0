"""`cogo gate`: record gate runs from CI."""

import pytest

from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.quality.real_reports import package_reports
from cogo_dagster_tests.queue.conformance.test_gate_runs import COMMIT

MINIMUM = ("gate", "record", "--status", "pass", "--branch", "main", "--commit", COMMIT)


def test_a_run_is_recorded_with_its_reports(cogo: Terminal) -> None:
    """A run is listed with the numbers of its reports; URLs are absolute if METRICS_BASE is set."""
    home = package_reports()
    (cogo.folder / "lint.json").write_text('[{"code": "F401", "filename": "a.py"}]')
    more = ("--type", "gate_fix", "--pull-request", "7", "--eslint", "lint.json", "--build-seconds", "12.5")
    reports = ("--coverage", str(home / "coverage.xml"), "--junit", str(home / "junit.xml"))
    run = cogo.ok(*MINIMUM, *more, *reports, METRICS_BASE="https://ops.example")
    assert (run["type"], run["pull_request"], run["lint_errors"], run["build_seconds"]) == ("gate_fix", 7, 1, 12.5)
    assert run["coverage_url"] == f"https://ops.example/api/artifacts/{run['coverage_artifact_id']}/content"
    assert [row["gate_run_id"] for row in cogo.ok("gate", "runs", "--type", "gate_fix")] == [run["gate_run_id"]]
    assert len(cogo.ok("list", "artifacts")) == 3
    assert "Recorded: gate of 0123456789ab on main, pass." in cogo.run(*MINIMUM).out


def test_branch_and_commit_are_read_from_github_actions(cogo: Terminal) -> None:
    """The head branch of a pull request takes precedence over the name of its merge ref."""
    env = {"GITHUB_SHA": COMMIT, "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "feature/x"}
    assert cogo.ok("gate", "record", "--status", "fail", **env)["branch"] == "feature/x"
    pushed = env | {"GITHUB_REF_NAME": "main", "GITHUB_HEAD_REF": ""}
    assert cogo.ok("gate:record", "--status", "fail", **pushed)["branch"] == "main"


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_a_run_with_an_unreadable_report_is_recorded(cogo: Terminal, status: str) -> None:
    """The errors are printed to standard error with exit code 0, because the status of the run is known."""
    (cogo.folder / "cut.xml").write_text("<testsuites>")
    minimum = ("gate", "record", "--status", status, "--branch", "main", "--commit", COMMIT)
    answer = cogo.run(*minimum, "--junit", "cut.xml", "--eslint", "none.json")
    assert answer.code == 0
    assert "report unread: The report cut.xml is not valid XML" in answer.err
    assert "report unread: The report none.json cannot be read (No such file or directory)" in answer.err
    [run] = cogo.ok("gate", "runs")
    assert (run["status"], sorted(run["report_notes"])) == (status, ["eslint", "junit"])


def test_several_reports_are_added_up(cogo: Terminal) -> None:
    """Reports are given by repeating the option, by a glob pattern or by a folder."""
    for name, content in (("a", ""), ("b", "<failure/>")):
        (cogo.folder / f"{name}.xml").write_text(f"<testsuite><testcase name='t'>{content}</testcase></testsuite>")
    for given in (("--junit", "a.xml", "--junit", "b.xml"), ("--junit", "*.xml"), ("--junit", ".")):
        run = cogo.ok(*MINIMUM, *given)
        assert (run["tests_total"], run["tests_failed"]) == (2, 1)


def test_invalid_input_is_rejected_and_records_nothing(cogo: Terminal) -> None:
    """The exit code is 2, with one message."""
    for arguments, message in (
        ((*MINIMUM[:-1], "HEAD"), "hexadecimal"),
        (("gate", "record", "--status", "maybe"), "maybe"),
    ):
        answer = cogo.run(*arguments)
        assert (answer.code, answer.out) == (2, ""), answer
        assert message in answer.err
        assert len(answer.err.strip().splitlines()) == 1
    assert cogo.ok("gate", "runs") == []
    assert cogo.ok("list", "artifacts") == []
