"""`cogo metrics`: the gate's numbers."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.gate_source import (
    BranchOption,
    MinPassRateOption,
    MinRunsOption,
    Source,
    SourceOption,
    chosen_threshold,
    metrics_api,
)
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, echo_markdown, print_json
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.quality.records import Stored
from cogo_dagster.quality.summary import day_markdown
from cogo_dagster.quality.verdict import backtest as replay
from cogo_dagster.quality.weeks import day_start

app = group("The gate's numbers, and what a threshold would have said.")

_REPLAYED = (
    column("day", whole=True),
    column("verdict", whole=True),
    Column("passed", lambda row: f"{row['passed']}/{row['runs']}", whole=True),
    column("reason"),
)


@app.command()
def snapshot(
    *,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Keep a closed UTC day instead, as 2026-11-24: what the asset does."),
    ] = None,
    branch: BranchOption = None,
    source: SourceOption = Source.DB,
    as_json: JsonFlag = False,
) -> None:
    """Keep the numbers of the last 24 hours, and print them. From the API they are only printed."""
    settings = read_settings()
    if source is Source.API:
        summary, document = metrics_api(settings).summary(24, branch or settings.gate_branch), {}
    else:
        with open_application(settings) as application:
            gates = application.gates
            stored = gates.store_day(day_start(day), branch) if day else gates.store_rolling(branch)
        summary, document = stored.summary, _kept(stored)
    if as_json:
        print_json(summary.model_dump(mode="json") | document)
    else:
        echo_markdown(day_markdown(summary))


@app.command()
def backtest(
    *,
    min_pass_rate: MinPassRateOption = None,
    min_runs: MinRunsOption = None,
    days: Annotated[int, typer.Option(min=1, max=1_000, help="So many of the newest days that are kept.")] = 30,
    branch: BranchOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a threshold would have said of past days, before it is adopted."""
    settings = read_settings()
    threshold = chosen_threshold(settings, min_pass_rate, min_runs)
    with open_application(settings) as application:
        replayed = replay(application.gates.snapshot_numbers(days, branch), threshold)
    rows = [{"day": one.day, **one.q1.model_dump()} for one in replayed]
    if as_json:
        print_json(rows)
        return
    print_table(rows, _REPLAYED, when_empty="No day is kept yet: `cogo metrics snapshot --day 2026-11-24` keeps one.")
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("pass", "fail", "not_computed")}
    if rows:
        typer.echo(
            f"At {threshold.min_pass_rate:g} % of at least {threshold.min_runs} runs, {counts['fail']} of {len(rows)} "
            f"days would have failed, {counts['pass']} passed, {counts['not_computed']} had too little data."
        )


def _kept(stored: Stored) -> dict[str, object]:
    kept = stored.model_dump(mode="json", include={"outcome", "complete", "revision", "computed_at"})
    return dict(kept)
