"""`cogo gate`: CI writes down what it found."""

from pathlib import Path

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


def test_bad_input_is_one_sentence_and_leaves_nothing(cogo: Terminal, tmp_path: Path) -> None:
    """Exit code 2."""
    (cogo.folder / "cut.xml").write_text("<testsuites>")
    for words, said in (
        ((*LEAST, "--junit", "cut.xml"), "The report cut.xml is not whole XML"),
        ((*LEAST, "--junit", "none.xml"), "The report none.xml cannot be read"),
        ((*LEAST[:-1], "HEAD"), "hexadecimal"),
        (("gate", "record", "--status", "maybe"), "maybe"),
    ):
        answer = cogo.run(*words)
        assert (answer.code, answer.out) == (2, ""), answer
        assert said in answer.err
        assert len(answer.err.strip().splitlines()) == 1
    assert cogo.ok("gate", "runs") == []
    assert cogo.ok("list", "artifacts") == []
