"""`cogo pause` and `cogo resume`: claim no more of something, until it is resumed."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import Report, command, group

pause = group("Claim no more jobs of a type, or by an executor, until `cogo resume`.")
resume = group("End a pause: of ours, or of an outside service.")

Reason = Annotated[str | None, typer.Option(help="Why, for whoever finds it paused.")]


@command(pause, "type")
def pause_type(
    application: Application,
    name: Annotated[str, typer.Argument(help="The type, with all below it: browser is browser.pdf too.")],
    reason: Reason = None,
) -> Report:
    """Claim no more jobs of a type; those that run go on."""
    return _paused(application, "type", name, reason)


@command(pause, "executor")
def pause_executor(
    application: Application,
    name: Annotated[str, typer.Argument(help="The executor id: workers that serve it claim nothing.")],
    reason: Reason = None,
) -> Report:
    """Let the workers of an executor id claim nothing; what they run goes on."""
    return _paused(application, "executor", name, reason)


@command(resume, "type")
def resume_type(application: Application, name: Annotated[str, typer.Argument(help="The paused type.")]) -> Report:
    """Let jobs of a type be claimed again."""
    return _resumed(application, "type", name)


@command(resume, "executor")
def resume_executor(
    application: Application, name: Annotated[str, typer.Argument(help="The paused executor id.")]
) -> Report:
    """Let the workers of an executor id claim again."""
    return _resumed(application, "executor", name)


@command(resume)
def limit(
    application: Application,
    name: Annotated[str, typer.Argument(help="As `cogo list limits` shows it: figma:…:tier1.")],
) -> Report:
    """Ask an outside service again before its time, as after a change of plan; jobs it has put off stay so."""
    was_open = any(row.name == name for row in application.rates.open_circuits())
    application.rates.close_circuit(name)
    sentence = f"{name} is asked again." if was_open else f"{name} was not held back: `cogo list limits` shows what is."
    return Report({"kind": "limit", "name": name, "changed": was_open}, sentence)


def _paused(application: Application, kind: str, name: str, reason: str | None) -> Report:
    answer = application.queue.pause(kind, name, reason=reason, actor=actor())
    if answer.changed:
        return Report(answer, f"The {kind} {name} is paused; `cogo resume {kind} {name}` lets it go on.")
    return Report(answer, f"The {kind} {name} was paused already: `cogo list paused` says by whom.")


def _resumed(application: Application, kind: str, name: str) -> Report:
    answer = application.queue.resume(kind, name, actor=actor())
    if answer.changed:
        return Report(answer, f"The {kind} {name} goes on.")
    return Report(answer, f"The {kind} {name} was not paused: `cogo list paused` shows what is.")
