"""`cogo ci`: what continuous integration asks."""

from typing import Annotated, Final

import typer

from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.gate_source import (
    BranchOption,
    MinPassRateOption,
    MinRunsOption,
    Source,
    SourceOption,
    chosen_threshold,
    read_summary,
)
from cogo_dagster.cli.github_actions import add_to_summary, annotate
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.quality.records import GateSummary
from cogo_dagster.quality.summary import day_markdown
from cogo_dagster.quality.verdict import q1 as judge

app = group("Ask for a verdict, as continuous integration does.")
gate = group("The quality gate.")
app.add_typer(gate, name="gate")

_TITLE: Final = "Quality Gate (Q1)"
_CODES: Final = {"pass": ExitCode.OK, "fail": ExitCode.FAILED, "not_computed": ExitCode.NOT_COMPUTED}
_WORDS: Final = {"pass": "PASS", "fail": "FAIL", "not_computed": "NOT COMPUTED"}


@gate.command()
def q1(
    *,
    source: SourceOption = Source.API,
    min_pass_rate: MinPassRateOption = None,
    min_runs: MinRunsOption = None,
    hours: Annotated[float, typer.Option(min=0.1, max=744, help="So many hours before now.")] = 24,
    branch: BranchOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge the gate runs of the base branch: exit code 0 pass, 1 fail, 3 too little data for a verdict."""
    settings = read_settings()
    threshold = chosen_threshold(settings, min_pass_rate, min_runs)
    found = read_summary(settings, source, hours, branch)
    judged = found.model_copy(update={"q1": judge(found.model_dump(mode="json"), threshold)})
    _report(judged, as_json, source)
    raise typer.Exit(_CODES[judged.q1.verdict])


def _report(judged: GateSummary, as_json: bool, source: Source) -> None:
    verdict, reason = judged.q1.verdict, judged.q1.reason
    if as_json:
        window = judged.window.model_dump(mode="json")
        print_json({**judged.q1.model_dump(), "branch": judged.branch, "window": window, "source": source.value})
    else:
        typer.secho(f"{_WORDS[verdict]}  {reason}", fg={"pass": "green", "fail": "red"}.get(verdict, "yellow"))
    if verdict == "pass":
        annotate("notice", _TITLE, reason)
    else:
        annotate("error", _TITLE, f"{_WORDS[verdict]}: {reason}")
    add_to_summary(f"# {_TITLE}: {_WORDS[verdict]}\n\n{day_markdown(judged)}")
