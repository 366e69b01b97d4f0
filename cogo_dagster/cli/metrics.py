"""`cogo metrics`: snapshots of the quality gate and backtests. `cogo ci`: the check of Q1."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import ExitCode, Report, command, echo_markdown, group
from cogo_dagster.cli.gate import (
    BranchOption,
    MinPassRateOption,
    MinRunsOption,
    Source,
    SourceOption,
    chosen_threshold,
    metrics_api,
    read_summary,
)
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.formatting.values import counted
from cogo_dagster.quality.records import GateSummary, Stored
from cogo_dagster.quality.summary import day_markdown
from cogo_dagster.quality.verdict import backtest as evaluate
from cogo_dagster.quality.verdict import q1 as judge
from cogo_dagster.quality.weeks import day_start

metrics = group("Store snapshots of the quality gate, and backtest a threshold.")
ci = group("Checks for continuous integration.")
gate = group("The quality gate.")
ci.add_typer(gate, name="gate")

_TITLE: Final = "Quality Gate (Q1)"
_CODES: Final = {"pass": ExitCode.OK, "fail": ExitCode.FAILED, "not_computed": ExitCode.NOT_COMPUTED}
_LABELS: Final = {"pass": "PASS", "fail": "FAIL", "not_computed": "NOT COMPUTED"}
_MAX_SUMMARY_BYTES: Final = 900_000


@command(metrics)
def snapshot(
    *,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Store the snapshot of a finished UTC day instead, such as 2026-11-24."),
    ] = None,
    branch: BranchOption = None,
    source: SourceOption = Source.DB,
) -> Report:
    """Store and print a snapshot of the last 24 hours. With --source api it is only printed."""
    settings = read_settings()
    if source is Source.API:
        summary, document = metrics_api(settings).summary(24, branch or settings.gate_branch), {}
    else:
        with opened(settings) as application:
            gates = application.gates
            stored = gates.store_day(day_start(day), branch) if day else gates.store_rolling(branch)
        summary, document = stored.summary, _metadata(stored)
    return Report(summary.model_dump(mode="json") | document, lambda: echo_markdown(day_markdown(summary)))


_BACKTEST_COLUMNS: Final = (
    column("day", whole=True),
    Column("verdict", lambda day: day.q1.verdict, whole=True),
    Column("passed", lambda day: f"{day.q1.passed}/{day.q1.runs}", whole=True),
    Column("reason", lambda day: day.q1.reason),
)


@command(metrics)
def backtest(
    application: Application,
    *,
    min_pass_rate: MinPassRateOption = None,
    min_runs: MinRunsOption = None,
    days: Annotated[int, typer.Option(min=1, max=1_000, help="Number of stored days, newest first.")] = 30,
    branch: BranchOption = None,
) -> Report:
    """Evaluate a threshold on past days before adopting it."""
    threshold = chosen_threshold(application.settings, min_pass_rate, min_runs)
    evaluated = evaluate(application.gates.snapshot_numbers(days, branch), threshold)
    rows = [{"day": day.day, **day.q1.model_dump()} for day in evaluated]

    def show() -> None:
        empty = "No days are stored: `cogo metrics snapshot --day 2026-11-24` stores one."
        print_table(evaluated, _BACKTEST_COLUMNS, when_empty=empty)
        counts = {verdict: sum(row.q1.verdict == verdict for row in evaluated) for verdict in _LABELS}
        if rows:
            typer.echo(
                f"With a pass rate of {threshold.min_pass_rate:g} % and at least "
                f"{counted(threshold.min_runs, 'run')}: {counts['fail']} of {counted(len(rows), 'day')} fail, "
                f"{counts['pass']} pass, {counts['not_computed']} have too little data."
            )

    return Report(rows, show)


@command(gate)
def q1(
    *,
    source: SourceOption = Source.API,
    min_pass_rate: MinPassRateOption = None,
    min_runs: MinRunsOption = None,
    hours: Annotated[float, typer.Option(min=0.1, max=744, help="Length of the window in hours, ending now.")] = 24,
    branch: BranchOption = None,
) -> Report:
    """Check the pass rate of the base branch: exit code 0 pass, 1 fail, 3 too little data."""
    settings = read_settings()
    threshold = chosen_threshold(settings, min_pass_rate, min_runs)
    summary = read_summary(settings, source, hours, branch)
    judged = summary.model_copy(update={"q1": judge(summary, threshold)})
    verdict, reason = judged.q1.verdict, judged.q1.reason
    _report_to_github(judged)
    window = judged.window.model_dump(mode="json")
    document = {**judged.q1.model_dump(), "branch": judged.branch, "window": window, "source": source.value}
    color = {"pass": "green", "fail": "red"}.get(verdict, "yellow")
    return Report(document, lambda: typer.secho(f"{_LABELS[verdict]}  {reason}", fg=color), _CODES[verdict])


def _report_to_github(judged: GateSummary) -> None:
    """Annotate the job and add a page to its summary when running in GitHub Actions."""
    verdict, reason = judged.q1.verdict, judged.q1.reason
    if verdict == "pass":
        _annotate("notice", _TITLE, reason)
    else:
        _annotate("error", _TITLE, f"{_LABELS[verdict]}: {reason}")
    _add_to_summary(f"# {_TITLE}: {_LABELS[verdict]}\n\n{day_markdown(judged)}")


def _annotate(level: Literal["error", "warning", "notice"], title: str, message: str) -> None:
    """Annotate the job on standard error, which the runner parses too; do nothing outside GitHub Actions."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(f"::{level} title={_property(title)}::{_data(message)}", err=True)


def _add_to_summary(markdown: str) -> None:
    """Add a page to the summary of the job, if there is one; an error in writing it is printed, not raised."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(markdown.encode()[:_MAX_SUMMARY_BYTES].decode(errors="ignore") + "\n")
    except OSError as error:
        typer.echo(f"The job summary could not be written ({error.strerror}).", err=True)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _metadata(stored: Stored) -> dict[str, object]:
    return dict(stored.model_dump(mode="json", include={"outcome", "complete", "revision", "computed_at"}))
