"""`cogo gate`: record gate runs from CI, and list them. Also the options that select a source of gate data."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import Report, command, group
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import Limit, Since
from cogo_dagster.cli.tables import Row, column, lists
from cogo_dagster.formatting.values import counted, distance
from cogo_dagster.quality.api import MetricsApi
from cogo_dagster.quality.records import GateRun, GateSummary, GateType
from cogo_dagster.quality.verdict import Threshold
from cogo_dagster.settings import Settings, SettingsError

app = group("Record and list runs of the quality gate.")


class RunType(StrEnum):
    """Type of a gate run."""

    GATE = "gate"
    GATE_FIX = "gate_fix"


class Status(StrEnum):
    """Status of a gate run."""

    PASS = "pass"  # noqa: S105 - a status
    FAIL = "fail"


class Source(StrEnum):
    """Where a command reads gate data from."""

    API = "api"
    DB = "db"


SourceOption = Annotated[
    Source, typer.Option("--source", help="api: the metrics API at METRICS_BASE. db: the database.")
]
MinPassRateOption = Annotated[
    float | None,
    typer.Option(
        "--min-pass-rate", min=0, max=100, help="Minimum pass rate in percent; COGO_GATE_MIN_PASS_RATE by default."
    ),
]
MinRunsOption = Annotated[
    int | None,
    typer.Option("--min-runs", min=1, help="Minimum number of runs for a result; COGO_GATE_MIN_RUNS by default."),
]
BranchOption = Annotated[str | None, typer.Option(help="The base branch; COGO_GATE_BRANCH by default.")]

ReportFiles = list[Path] | None

_RUNS = (
    column("at", "created_at", distance, whole=True),
    column("type", whole=True),
    column("status", whole=True, is_status=True),
    column("branch"),
    column("commit", "commit_sha", lambda sha: str(sha)[:12], whole=True),
    column("pull request", "pull_request", whole=True, min_width=110),
    column("lint errors", "lint_errors", whole=True, min_width=110),
    column("coverage", "coverage_percent", whole=True, min_width=110),
    column("tests", "tests_total", whole=True),
    column("failed", "tests_failed", whole=True),
)


@command(app)
def record(
    application: Application,
    *,
    status: Annotated[Status, typer.Option(help="Result of the run.")],
    branch: Annotated[
        str, typer.Option(envvar=["GITHUB_HEAD_REF", "GITHUB_REF_NAME"], help="The branch that was evaluated.")
    ],
    commit: Annotated[
        str, typer.Option("--commit", envvar="GITHUB_SHA", help="Commit hash, 7 to 64 hexadecimal digits.")
    ],
    run_type: Annotated[
        RunType, typer.Option("--type", help="gate, or gate_fix for a run after an automatic fix.")
    ] = RunType.GATE,
    pull_request: Annotated[int | None, typer.Option(min=1, help="Number of the pull request.")] = None,
    eslint: Annotated[
        ReportFiles, typer.Option(metavar="FILE", help="Lint report (ESLint, ruff, SARIF, Checkstyle …); repeatable.")
    ] = None,
    coverage: Annotated[
        ReportFiles,
        typer.Option(
            metavar="FILE",
            help="Coverage report (coverage.py, istanbul, Cobertura, Clover, JaCoCo, lcov); repeatable.",
        ),
    ] = None,
    junit: Annotated[
        ReportFiles,
        typer.Option(metavar="FILE", help="JUnit XML report: a file, a folder or a glob pattern; repeatable."),
    ] = None,
    build_seconds: Annotated[float | None, typer.Option(min=0, help="Duration of the build in seconds.")] = None,
    test_seconds: Annotated[
        float | None, typer.Option(min=0, help="Duration of the tests in seconds; from the JUnit report by default.")
    ] = None,
) -> Report:
    """Record one gate run, and store its reports as artifacts."""
    run = {
        "type": run_type.value,
        "status": status.value,
        "branch": branch,
        "commit_sha": commit.lower(),
        "pull_request": pull_request,
        "build_seconds": build_seconds,
        "test_seconds": test_seconds,
    }
    reports = {"eslint": eslint, "coverage": coverage, "junit": junit}
    recorded, _ = application.gates.record_reports(run, {kind: path for kind, path in reports.items() if path})
    notes = "\n".join(f"{kind}: {note}" for kind, note in sorted(recorded.notes.items()))
    return Report(recorded.model_dump(mode="json"), _message(recorded), error=notes or None)


@lists(app, _RUNS, "No matching gate runs.")
def runs(
    application: Application,
    *,
    run_type: Annotated[RunType | None, typer.Option("--type", help="Only this type.")] = None,
    branch: Annotated[str | None, typer.Option(help="Only this branch.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only this status.")] = None,
    since_seconds: Since = None,
    limit: Limit = 50,
) -> list[Row]:
    """Show gate runs, newest first."""
    rows = application.gates.recent(
        _chosen(run_type), limit, branch=branch, status=status and status.value, since_seconds=since_seconds
    )
    return [run.model_dump(mode="json") for run in rows]


def chosen_threshold(settings: Settings, min_pass_rate: float | None, min_runs: int | None) -> Threshold:
    """Return the threshold from the options, with the settings as defaults."""
    return Threshold(
        settings.gate_min_pass_rate if min_pass_rate is None else min_pass_rate,
        settings.gate_min_runs if min_runs is None else min_runs,
    )


def metrics_api(settings: Settings) -> MetricsApi:
    """Return the client of the metrics API.

    Raises:
        SettingsError: METRICS_BASE is not set.
    """
    if not settings.metrics_base:
        raise SettingsError(
            "METRICS_BASE is not set: use the URL of the metrics API (https://ops.example.com) or use --source db."
        )
    return MetricsApi(settings.metrics_base, settings.admin_token)


def read_summary(settings: Settings, source: Source, hours: float, branch: str | None) -> GateSummary:
    """Return the summary of the last hours."""
    if source is Source.API:
        return metrics_api(settings).summary(hours, branch or settings.gate_branch)
    with opened(settings) as application:
        return application.gates.summary(hours, branch)


def _chosen(run_type: RunType | None) -> GateType | None:
    return None if run_type is None else "gate" if run_type is RunType.GATE else "gate_fix"


def _message(run: GateRun) -> str:
    facts = [
        counted(run.lint_errors, "lint error") if run.lint_errors is not None else "",
        f"{run.coverage_percent:g} % of lines covered" if run.coverage_percent is not None else "",
        f"{run.branch_coverage_percent:g} % of branches covered" if run.branch_coverage_percent is not None else "",
        f"{run.tests_failed} of {counted(run.tests_total, 'test')} failed" if run.tests_total is not None else "",
        f"{run.tests_flaky} flaky" if run.tests_flaky else "",
    ]
    listed = ", ".join(fact for fact in facts if fact)
    message = f"Recorded: {run.type} of {run.commit_sha[:12]} on {run.branch}, {run.status}"
    return f"{message}; {listed}." if listed else f"{message}."
