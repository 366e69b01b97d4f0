"""`cogo doctor`: check the services that the settings use."""

from dataclasses import asdict
from typing import Final

from rich.table import Table
from rich.text import Text

from cogo_dagster.cli.command import ExitCode, Report, command
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import print_fitted
from cogo_dagster.doctor.findings import Finding, State
from cogo_dagster.doctor.run import checkup, worst
from cogo_dagster.formatting.values import one_line

_MARKS: Final = {
    State.FAILED: ("failed", "bold red"),
    State.WARNING: ("warning", "yellow"),
    State.OK: ("ok", "green"),
    State.UNUSED: ("not used", "dim"),
}


@command()
def doctor() -> Report:
    """Check every service that the settings use, with advice; exit with 1 if a check fails."""
    findings = checkup(read_settings())
    state = worst(findings)
    return Report(
        {"state": state, "checks": [asdict(finding) for finding in findings]},
        lambda: _print(findings),
        ExitCode.FAILED if state is State.FAILED else ExitCode.OK,
    )


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        message = Text(one_line(finding.sentence))
        if finding.advice:
            message.append(f"\n→ {one_line(finding.advice)}", style="bold")
        table.add_row(Text(*_MARKS[finding.state]), finding.check, message)
    print_fitted(table)
