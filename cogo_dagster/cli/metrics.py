"""`cogo metrics` and `cogo ci`: the gate's numbers, and verdicts on them."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from cogo_dagster.bootstrap import Application, open_application
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
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.quality.records import GateSummary, Stored
from cogo_dagster.quality.summary import day_markdown
from cogo_dagster.quality.verdict import backtest as replay
from cogo_dagster.quality.verdict import q1 as judge
from cogo_dagster.quality.weeks import day_start

metrics = group("The gate's numbers, and what a threshold would have said.")
ci = group("Ask for a verdict, as continuous integration does.")
gate = group("The quality gate.")
ci.add_typer(gate, name="gate")

_TITLE: Final = "Quality Gate (Q1)"
_CODES: Final = {"pass": ExitCode.OK, "fail": ExitCode.FAILED, "not_computed": ExitCode.NOT_COMPUTED}
_WORDS: Final = {"pass": "PASS", "fail": "FAIL", "not_computed": "NOT COMPUTED"}
_MAX_SUMMARY_BYTES: Final = 900_000


@command(metrics)
def snapshot(
    *,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Keep a closed UTC day instead, as 2026-11-24: what the asset does."),
    ] = None,
    branch: BranchOption = None,
    source: SourceOption = Source.DB,
) -> Report:
    """Keep the numbers of the last 24 hours, and print them. From the API they are only printed."""
    settings = read_settings()
    if source is Source.API:
        summary, document = metrics_api(settings).summary(24, branch or settings.gate_branch), {}
    else:
        with open_application(settings) as application:
            gates = application.gates
            stored = gates.store_day(day_start(day), branch) if day else gates.store_rolling(branch)
        summary, document = stored.summary, _kept(stored)
    return Report(summary.model_dump(mode="json") | document, lambda: echo_markdown(day_markdown(summary)))


_REPLAYED: Final = (
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
    days: Annotated[int, typer.Option(min=1, max=1_000, help="So many of the newest days that are kept.")] = 30,
    branch: BranchOption = None,
) -> Report:
    """Say what a threshold would have said of past days, before it is adopted."""
    threshold = chosen_threshold(application.settings, min_pass_rate, min_runs)
    replayed = replay(application.gates.snapshot_numbers(days, branch), threshold)
    rows = [{"day": one.day, **one.q1.model_dump()} for one in replayed]

    def show() -> None:
        empty = "No day is kept yet: `cogo metrics snapshot --day 2026-11-24` keeps one."
        print_table(replayed, _REPLAYED, when_empty=empty)
        counts = {verdict: sum(row.q1.verdict == verdict for row in replayed) for verdict in _WORDS}
        if rows:
            typer.echo(
                f"At {threshold.min_pass_rate:g} % of at least {threshold.min_runs} runs, {counts['fail']} of "
                f"{len(rows)} days would have failed, {counts['pass']} passed, {counts['not_computed']} had too "
                "little data."
            )

    return Report(rows, show)


@command(gate)
def q1(
    *,
    source: SourceOption = Source.API,
    min_pass_rate: MinPassRateOption = None,
    min_runs: MinRunsOption = None,
    hours: Annotated[float, typer.Option(min=0.1, max=744, help="So many hours before now.")] = 24,
    branch: BranchOption = None,
) -> Report:
    """Judge the gate runs of the base branch: exit code 0 pass, 1 fail, 3 too little data for a verdict."""
    settings = read_settings()
    threshold = chosen_threshold(settings, min_pass_rate, min_runs)
    found = read_summary(settings, source, hours, branch)
    judged = found.model_copy(update={"q1": judge(found, threshold)})
    verdict, reason = judged.q1.verdict, judged.q1.reason
    _tell_github(judged)
    window = judged.window.model_dump(mode="json")
    document = {**judged.q1.model_dump(), "branch": judged.branch, "window": window, "source": source.value}
    color = {"pass": "green", "fail": "red"}.get(verdict, "yellow")
    return Report(document, lambda: typer.secho(f"{_WORDS[verdict]}  {reason}", fg=color), _CODES[verdict])


def _tell_github(judged: GateSummary) -> None:
    """Annotate the job and add a page to its summary, where GitHub Actions runs this."""
    verdict, reason = judged.q1.verdict, judged.q1.reason
    if verdict == "pass":
        _annotate("notice", _TITLE, reason)
    else:
        _annotate("error", _TITLE, f"{_WORDS[verdict]}: {reason}")
    _add_to_summary(f"# {_TITLE}: {_WORDS[verdict]}\n\n{day_markdown(judged)}")


def _annotate(level: Literal["error", "warning", "notice"], title: str, message: str) -> None:
    """Annotate the job; on standard error, which the runner reads as well. Nothing outside GitHub Actions."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        typer.echo(f"::{level} title={_property(title)}::{_data(message)}", err=True)


def _add_to_summary(markdown: str) -> None:
    """Add a page to the job's summary, where there is one. One that cannot be written fails nothing."""
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


def _kept(stored: Stored) -> dict[str, object]:
    kept = stored.model_dump(mode="json", include={"outcome", "complete", "revision", "computed_at"})
    return dict(kept)
