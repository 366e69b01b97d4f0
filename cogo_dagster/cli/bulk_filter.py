"""Bulk commands with `--where`: preview, plan file and execution of a bulk action on the jobs of a search."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import BadInput
from cogo_dagster.cli.tables import column
from cogo_dagster.queue.bulk import LeftOut, Operation, Progress, Totals
from cogo_dagster.queue.bulk_actions import FUNCTIONS, INELIGIBLE, MAX_JOBS, Preview, plan, preview, run, skipped_jobs
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.queue.errors import InvalidTransition
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.bulk_actions import ActionName, BulkAction
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.times import duration_text

Name = Annotated[str, typer.Option("--name", metavar="TEXT", help="Name of the action in the log; only with --where.")]

COLUMNS: Final = (
    column("job", "id", whole=True),
    column("type"),
    column("status", whole=True),
    column("error", "error_class"),
    column("host"),
    column("release"),
)

_ID_DIGITS: Final = 8
_SHOWN_IDS: Final = 10

_GROUPS: Final = ("type", "error_class", "cause", "host", "release")


@dataclass(frozen=True, slots=True)
class FilterOperation(Operation):
    """A bulk operation on the jobs of a search."""

    search: JobSearch = field(default_factory=JobSearch)
    name: str = ""

    @property
    def action(self) -> ActionName:
        """The operation of the bulk action."""
        return FUNCTIONS[self.function]


def operation_of(
    function: str, filters: Mapping[str, Json], arguments: Mapping[str, Json], where: JobSearch | None, name: str
) -> Operation:
    """Return the operation that options select: by a filter of the language if there is one.

    Args:
        filters: `type_prefix`, `executor_id`, `since_seconds`, `fingerprint` and `job_ids`, as the SQL functions take
            them; with a filter they narrow it.

    Raises:
        BadInput: The options exclude each other.
    """
    if where is None:
        if name:
            raise BadInput("--name is for the action of --where: add --where, or remove --name.")
        return Operation(function, {**filters, **arguments})
    if filters.get("job_ids"):
        raise BadInput("Give job IDs or --where, not both: write id:DIGITS in the filter.")
    since = filters.get("since_seconds")
    if since is not None and any(term.key == "finished" for term in where.terms):
        raise BadInput("--since and finished: in the filter exclude each other: remove one of them.")
    search = where.and_also(
        type=filters.get("type_prefix"),
        executor=filters.get("executor_id"),
        cause=filters.get("fingerprint"),
        finished=None if since is None else duration_text(since),
    )
    return FilterOperation(function, arguments, search, name)


@contextmanager
def hint_at_filters(operation: Operation) -> Iterator[None]:
    """Name the option that skips jobs whose status does not allow the operation, if there are several jobs."""
    try:
        yield
    except InvalidTransition as error:
        if len(operation.arguments.get("job_ids") or ()) < 2:
            raise
        raise InvalidTransition(f"{error} `--where id:ID,ID` skips such jobs and counts them.") from error


def previewed(application: Application, operation: FilterOperation, limit: int | None) -> tuple[Totals, Preview]:
    """Return what an action would do."""
    found = preview(application.queue, operation.action, operation.search, limit=limit or MAX_JOBS)
    items: list[Json] = [item.document for item in found.items]
    return Totals(matched=len(items), items=items, counts=_ineligible(found.left_out), left_out=found.left_out), found


def performed(
    application: Application,
    operation: FilterOperation,
    planned: BulkPlan | None,
    *,
    limit: int | None,
    actor: str,
    on_batch: Progress,
) -> Totals:
    """Perform an action, on the jobs of a plan if there is one."""
    found = None if planned else preview(application.queue, operation.action, operation.search, limit=limit or MAX_JOBS)
    stored = plan(
        application.queue,
        operation.action,
        planned.items if planned else [item.document for item in found.items] if found else [],
        actor,
        name=operation.name,
        query=str(operation.search),
        arguments=operation.arguments,
        summary=found.summary if found else None,
    )
    left_out = found.left_out if found else LeftOut()
    if not stored.planned:
        return Totals(counts=_ineligible(left_out), left_out=left_out)
    try:
        done = run(application.queue, stored.id, actor, on_batch=lambda so_far: on_batch(_totals(so_far, left_out)))
    except BaseException:
        typer.echo(f"The action is incomplete: continue it with `cogo action continue {stored.id}`.", err=True)
        raise
    totals = _totals(done, left_out)
    totals.left_out.update(skipped_jobs(application.queue, done))
    return totals


def _ineligible(left_out: LeftOut) -> Counter[str]:
    return Counter({"ineligible": left_out.counts.total()} if left_out.counts else {})


def _totals(done: BulkAction, left_out: LeftOut) -> Totals:
    totals = Totals(done.changed + done.skipped, done.changed, done.skipped, _ineligible(left_out))
    totals.action_id = str(done.id)
    totals.left_out.update(left_out)
    return totals


def print_preview(operation: Operation, found: Preview | None, left_out: LeftOut) -> None:
    """Print the counts of a preview, why jobs are left out, and what became of earlier replays."""
    if found is None or not isinstance(operation, FilterOperation):
        print_left_out(left_out)
        return
    typer.echo(f"Filter: {operation.search}")
    for name in _GROUPS:
        counts = found.counts(name)
        if counts and [value for value, _ in counts] != ["unknown"]:
            typer.echo(f"By {name.replace('_', ' ')}: {', '.join(f'{value} {count:,}' for value, count in counts)}")
    print_left_out(left_out)
    for cause, result in found.replays.items():
        typer.echo(f"{result.succeeded:,} of {result.ended:,} replays of cause {cause} succeeded.")
    if found.is_cut:
        typer.echo("More jobs match: repeat the command for the rest.")


def print_left_out(left_out: LeftOut) -> None:
    """Print why jobs are left out, with the first IDs of each reason."""
    for reason, count in left_out.counts.most_common():
        ids = [job_id[-_ID_DIGITS:] for job_id in left_out.job_ids.get(reason, ())][:_SHOWN_IDS]
        more = ["…"] if ids and count > len(ids) else []
        shown = f" ({', '.join(ids + more)})" if ids else ""
        typer.echo(f"Skipped {count:,}: {INELIGIBLE.get(reason, reason)}{shown}")
