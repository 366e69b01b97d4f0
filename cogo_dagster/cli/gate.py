"""`cogo gate`: what a gate run found, written down by CI."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import Limit, Since, read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.cli.words import distance
from cogo_dagster.quality.records import GateRun, GateType

app = group("Record what a quality gate found, and look at what was recorded.")


class Type(StrEnum):
    """What was evaluated."""

    GATE = "gate"
    GATE_FIX = "gate_fix"


class Status(StrEnum):
    """How it ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"


ReportFiles = list[Path] | None

_RUNS = (
    Column("at", lambda row: distance(row["created_at"]), whole=True),
    column("type", whole=True),
    column("status", whole=True),
    column("branch"),
    Column("commit", lambda row: row["commit_sha"][:12], whole=True),
    column("pull request", "pull_request"),
    column("lint errors", "lint_errors"),
    column("coverage", "coverage_percent"),
    column("tests", "tests_total"),
    column("failed", "tests_failed"),
)


@app.command()
def record(
    *,
    status: Annotated[Status, typer.Option(help="Whether the commit passed.")],
    branch: Annotated[
        str, typer.Option(envvar=["GITHUB_HEAD_REF", "GITHUB_REF_NAME"], help="The branch that was evaluated.")
    ],
    commit: Annotated[
        str, typer.Option("--commit", envvar="GITHUB_SHA", help="The commit: 7 to 64 hexadecimal digits.")
    ],
    type: Annotated[Type, typer.Option("--type", help="gate_fix: evaluated after an automatic fix.")] = Type.GATE,
    pull_request: Annotated[int | None, typer.Option(min=1, help="The pull request's number.")] = None,
    eslint: Annotated[
        ReportFiles, typer.Option(metavar="FILE", help="A lint report (ESLint, ruff, SARIF, Checkstyle …); repeatable.")
    ] = None,
    coverage: Annotated[
        ReportFiles,
        typer.Option(
            metavar="FILE",
            help="A coverage report (coverage.py, istanbul, Cobertura, Clover, JaCoCo, lcov); repeatable.",
        ),
    ] = None,
    junit: Annotated[
        ReportFiles, typer.Option(metavar="FILE", help="JUnit XML: a file, a folder or a pattern; repeatable.")
    ] = None,
    build_seconds: Annotated[float | None, typer.Option(min=0, help="How long the build took.")] = None,
    test_seconds: Annotated[
        float | None, typer.Option(min=0, help="How long the tests took; else what the JUnit report says.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write down one evaluation of a commit, and keep its reports as artifacts."""
    run = {
        "type": type.value,
        "status": status.value,
        "branch": branch,
        "commit_sha": commit.lower(),
        "pull_request": pull_request,
        "build_seconds": build_seconds,
        "test_seconds": test_seconds,
    }
    given = {"eslint": eslint, "coverage": coverage, "junit": junit}
    with open_application(read_settings()) as application:
        kept, _ = application.gates.record_reports(run, {kind: path for kind, path in given.items() if path})
    if as_json:
        print_json(kept.model_dump(mode="json"))
    else:
        typer.echo(_sentence(kept))
    for kind, note in sorted(kept.notes.items()):
        typer.echo(f"{kind}: {note}", err=True)


@app.command()
def runs(
    *,
    type: Annotated[Type | None, typer.Option("--type", help="Only these.")] = None,
    branch: Annotated[str | None, typer.Option(help="Only of this branch.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those that ended so.")] = None,
    since_seconds: Since = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show gate runs, newest first."""
    filters = {"branch": branch, "status": status and status.value, "since_seconds": since_seconds}
    with open_application(read_settings()) as application:
        found = application.gates.recent(_chosen(type), limit, **filters)
    rows = [run.model_dump(mode="json") for run in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, _RUNS, when_empty="No such gate runs.")


def _chosen(type: Type | None) -> GateType | None:
    return None if type is None else "gate" if type is Type.GATE else "gate_fix"


def _sentence(run: GateRun) -> str:
    facts = [
        f"{run.lint_errors} lint errors" if run.lint_errors is not None else "",
        f"{run.coverage_percent:g} % of lines covered" if run.coverage_percent is not None else "",
        f"{run.branch_coverage_percent:g} % of branches covered" if run.branch_coverage_percent is not None else "",
        f"{run.tests_failed} of {run.tests_total} tests failed" if run.tests_total is not None else "",
        f"{run.tests_flaky} flaky" if run.tests_flaky else "",
    ]
    found = ", ".join(fact for fact in facts if fact)
    words = f"Recorded: {run.type} of {run.commit_sha[:12]} on {run.branch}, {run.status}"
    return f"{words}; {found}." if found else f"{words}."
