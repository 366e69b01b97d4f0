"""`cogo resume`: end a pause, or an outside service's."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json

app = group("End a pause: of ours, or of an outside service.")


@app.command()
def type(name: Annotated[str, typer.Argument(help="The paused type.")], as_json: JsonFlag = False) -> None:
    """Let jobs of a type be claimed again."""
    _resume("type", name, as_json)


@app.command()
def executor(name: Annotated[str, typer.Argument(help="The paused executor id.")], as_json: JsonFlag = False) -> None:
    """Let the workers of an executor id claim again."""
    _resume("executor", name, as_json)


@app.command()
def limit(
    name: Annotated[str, typer.Argument(help="As `cogo list limits` shows it: figma:…:tier1.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask an outside service again before its time, as after a change of plan; jobs it has put off stay so."""
    with open_application(read_settings()) as application:
        was_open = any(row["name"] == name for row in application.rates.open_circuits())
        application.rates.close_circuit(name)
    if as_json:
        print_json({"kind": "limit", "name": name, "changed": was_open})
    elif was_open:
        typer.echo(f"{name} is asked again.")
    else:
        typer.echo(f"{name} was not held back: `cogo list limits` shows what is.")


def _resume(kind: str, name: str, as_json: bool) -> None:
    with open_application(read_settings()) as application:
        answer = application.queue.resume(kind, name, actor=actor())
    if as_json:
        print_json(answer)
    elif answer["changed"]:
        typer.echo(f"The {kind} {name} goes on.")
    else:
        typer.echo(f"The {kind} {name} was not paused: `cogo list paused` shows what is.")
