"""`cogo gate`: CI writes down what it found."""

import pytest

from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.quality.real_reports import package_reports
from cogo_dagster_tests.queue.conformance.test_gate_runs import COMMIT

LEAST = ("gate", "record", "--status", "pass", "--branch", "main", "--commit", COMMIT)


def test_a_run_is_recorded_with_its_reports(cogo: Terminal) -> None:
    """And listed; links are absolute where METRICS_BASE says where the API is."""
    home = package_reports()
    (cogo.folder / "lint.json").write_text('[{"code": "F401", "filename": "a.py"}]')
    more = ("--type", "gate_fix", "--pull-request", "7", "--eslint", "lint.json", "--build-seconds", "12.5")
    reports = ("--coverage", str(home / "coverage.xml"), "--junit", str(home / "junit.xml"))
    run = cogo.ok(*LEAST, *more, *reports, METRICS_BASE="https://ops.example")
    assert (run["type"], run["pull_request"], run["lint_errors"], run["build_seconds"]) == ("gate_fix", 7, 1, 12.5)
    assert run["coverage_url"] == f"https://ops.example/api/artifacts/{run['coverage_artifact_id']}/content"
    assert [row["gate_run_id"] for row in cogo.ok("gate", "runs", "--type", "gate_fix")] == [run["gate_run_id"]]
    assert len(cogo.ok("list", "artifacts")) == 3
    assert "Recorded: gate of 0123456789ab on main, pass." in cogo.run(*LEAST).out


def test_under_github_actions_branch_and_commit_are_known(cogo: Terminal) -> None:
    """A pull request's branch wins over the name of its merge; a push has no such branch."""
    env = {"GITHUB_SHA": COMMIT, "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "feature/x"}
    assert cogo.ok("gate", "record", "--status", "fail", **env)["branch"] == "feature/x"
    pushed = env | {"GITHUB_REF_NAME": "main", "GITHUB_HEAD_REF": ""}
    assert cogo.ok("gate:record", "--status", "fail", **pushed)["branch"] == "main"


@pytest.mark.parametrize("status", ["pass", "fail"])
def test_a_report_that_cannot_be_read_is_told_and_the_run_recorded(cogo: Terminal, status: str) -> None:
    """On the standard error stream, with exit code 0: the verdict is known."""
    (cogo.folder / "cut.xml").write_text("<testsuites>")
    least = ("gate", "record", "--status", status, "--branch", "main", "--commit", COMMIT)
    answer = cogo.run(*least, "--junit", "cut.xml", "--eslint", "none.json")
    assert answer.code == 0
    assert "report unread: The report cut.xml is not valid XML" in answer.err
    assert "report unread: The report none.json cannot be read (No such file or directory)" in answer.err
    [kept] = cogo.ok("gate", "runs")
    assert (kept["status"], sorted(kept["report_notes"])) == (status, ["eslint", "junit"])


def test_reports_may_be_many(cogo: Terminal) -> None:
    """By repeating the option, or by a pattern."""
    for name, words in (("a", ""), ("b", "<failure/>")):
        (cogo.folder / f"{name}.xml").write_text(f"<testsuite><testcase name='t'>{words}</testcase></testsuite>")
    for given in (("--junit", "a.xml", "--junit", "b.xml"), ("--junit", "*.xml"), ("--junit", ".")):
        run = cogo.ok(*LEAST, *given)
        assert (run["tests_total"], run["tests_failed"]) == (2, 1)


def test_bad_input_is_one_sentence_and_leaves_nothing(cogo: Terminal) -> None:
    """Exit code 2."""
    for words, said in (
        ((*LEAST[:-1], "HEAD"), "hexadecimal"),
        (("gate", "record", "--status", "maybe"), "maybe"),
    ):
        answer = cogo.run(*words)
        assert (answer.code, answer.out) == (2, ""), answer
        assert said in answer.err
        assert len(answer.err.strip().splitlines()) == 1
    assert cogo.ok("gate", "runs") == []
    assert cogo.ok("list", "artifacts") == []
