"""`cogo pause`: claim no more of something until it is resumed."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json

app = group("Claim no more jobs of a type, or by an executor, until `cogo resume`.")

Reason = Annotated[str | None, typer.Option(help="Why, for whoever finds it paused.")]


@app.command()
def type(
    name: Annotated[str, typer.Argument(help="The type, with all below it: browser is browser.pdf too.")],
    reason: Reason = None,
    as_json: JsonFlag = False,
) -> None:
    """Claim no more jobs of a type; those that run go on."""
    _pause("type", name, reason, as_json)


@app.command()
def executor(
    name: Annotated[str, typer.Argument(help="The executor id: workers that serve it claim nothing.")],
    reason: Reason = None,
    as_json: JsonFlag = False,
) -> None:
    """Let the workers of an executor id claim nothing; what they run goes on."""
    _pause("executor", name, reason, as_json)


def _pause(kind: str, name: str, reason: str | None, as_json: bool) -> None:
    with open_application(read_settings()) as application:
        answer = application.queue.pause(kind, name, reason=reason, actor=actor())
    if as_json:
        print_json(answer)
    elif answer["changed"]:
        typer.echo(f"The {kind} {name} is paused; `cogo resume {kind} {name}` lets it go on.")
    else:
        typer.echo(f"The {kind} {name} was paused already: `cogo list paused` says by whom.")
