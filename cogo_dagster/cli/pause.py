"""`cogo pause` and `cogo resume`: stop and resume claims of a type or by an executor ID."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli import completion
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import Report, command, group

pause = group("Pause claims of a type or by an executor ID until `cogo resume`.")
resume = group("Resume a type or an executor ID, or end the wait for a rate limit.")

Reason = Annotated[str | None, typer.Option(help="Reason, shown in `cogo list paused`.")]


@command(pause, "type")
def pause_type(
    application: Application,
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.types, help="The type; includes the types below it: browser includes browser.pdf."
        ),
    ],
    reason: Reason = None,
) -> Report:
    """Stop claims of jobs of a type; running jobs continue."""
    return _paused(application, "type", name, reason)


@command(pause, "executor")
def pause_executor(
    application: Application,
    name: Annotated[str, typer.Argument(autocompletion=completion.executors, help="The executor ID.")],
    reason: Reason = None,
) -> Report:
    """Stop claims by the workers that serve an executor ID; running jobs continue."""
    return _paused(application, "executor", name, reason)


@command(resume, "type")
def resume_type(
    application: Application,
    name: Annotated[str, typer.Argument(autocompletion=completion.types, help="The paused type.")],
) -> Report:
    """Resume claims of jobs of a type."""
    return _resumed(application, "type", name)


@command(resume, "executor")
def resume_executor(
    application: Application, name: Annotated[str, typer.Argument(help="The paused executor ID.")]
) -> Report:
    """Resume claims by the workers that serve an executor ID."""
    return _resumed(application, "executor", name)


@command(resume)
def limit(
    application: Application,
    name: Annotated[str, typer.Argument(help="Name of the limit, from `cogo list limits`: figma:…:tier1.")],
) -> Report:
    """Send requests to an external service again before its rate limit ends; the jobs that it snoozed become due."""
    was_open = any(row.name == name for row in application.rates.open_circuits())
    if not was_open:
        message = f"No rate limit {name} is in effect: `cogo list limits` shows the limits."
        return Report({"kind": "limit", "name": name, "changed": False, "due": 0}, message)
    due = application.rates.close_circuit(name)
    message = f"Resumed {name}. Snoozed jobs that are due now: {due}."
    return Report({"kind": "limit", "name": name, "changed": True, "due": due}, message)


def _paused(application: Application, kind: str, name: str, reason: str | None) -> Report:
    change = application.pause(kind, name, reason=reason, actor=actor())
    if change.changed:
        message = f"Paused {kind} {name}. Resume with `cogo resume {kind} {name}`."
        return Report(change, message if change.known else f"{message}\n{_unknown(kind, name)}")
    return Report(change, f"The {kind} {name} is already paused: see `cogo list paused`.")


def _unknown(kind: str, name: str) -> str:
    shown = "type" if kind == "type" else "executor ID"
    return f"Warning: no worker or job has the {shown} {name}; if it is misspelt, resume it: `cogo list workers`."


def _resumed(application: Application, kind: str, name: str) -> Report:
    change = application.queue.resume(kind, name, actor=actor())
    if change.changed:
        return Report(change, f"Resumed {kind} {name}.")
    return Report(change, f"The {kind} {name} was not paused: see `cogo list paused`.")
