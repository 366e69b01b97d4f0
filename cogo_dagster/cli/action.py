"""`cogo action`: show, continue or stop one bulk action."""

from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli import completion
from cogo_dagster.cli.bulk import Limit, actor
from cogo_dagster.cli.command import Report, command, group
from cogo_dagster.cli.options import part_of_id
from cogo_dagster.cli.tables import print_facts
from cogo_dagster.formatting.values import counted, distance
from cogo_dagster.queue.bulk_actions import PAST_TENSE, run
from cogo_dagster.queue.rows.bulk_actions import BulkAction

app = group("Show one bulk action, continue it, or stop it.")

ActionId = Annotated[
    str,
    typer.Argument(
        parser=part_of_id,
        metavar="ACTION_ID",
        autocompletion=completion.action_ids,
        help="ID of the action, from `cogo list actions`; 8 first or last digits suffice.",
    ),
]

_FACTS: Final = ("id", "name", "operation", "state", "query", "actor", "planned", "changed", "skipped")


@command(app)
def show(application: Application, action_id: ActionId) -> Report:
    """Show a bulk action with its progress; `cogo list jobs --where action:ID` shows its jobs."""
    action = application.queue.find_action(action_id)
    facts = {name: action.document[name] for name in _FACTS if action.document[name] not in (None, "")}
    return Report(action, lambda: print_facts(facts | {"created": distance(action.created_at)}))


@command(app, name="continue")
def continue_(application: Application, action_id: ActionId, limit: Limit = None) -> Report:
    """Change the jobs that are left of a bulk action that was interrupted, stopped or only planned."""
    action = application.queue.find_action(action_id)
    if not action.left:
        return Report(action, f"No job of the action {action.id} is left: {_done(action)}.")
    done = run(application.queue, action.id, actor(), limit=limit)
    left = f", {done.left:,} left" if done.left else ""
    return Report(done, f"{_done(done)}{left}.")


@command(app)
def stop(application: Application, action_id: ActionId) -> Report:
    """Stop a bulk action after the batch that runs; `cogo action continue` continues it."""
    found = application.queue.find_action(action_id)
    action = application.queue.stop_action(found.id)
    if action.state == "finished":
        return Report(action, f"The action {action.id} has finished already: {_done(action)}.")
    return Report(action, f"Stopped; {_done(action)}. Continue it with `cogo action continue {action.id}`.")


def _done(action: BulkAction) -> str:
    skipped = f", {action.skipped:,} skipped because they had changed" if action.skipped else ""
    return f"{counted(action.changed, 'job')} {PAST_TENSE.get(action.operation, 'changed')}{skipped}"
