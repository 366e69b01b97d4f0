"""Shared by the bulk commands: options, dry run, plan, execution and report."""

import getpass
import inspect
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.bulk_filter import (
    COLUMNS,
    FilterOperation,
    hint_at_filters,
    performed,
    previewed,
    print_left_out,
    print_preview,
)
from cogo_dagster.cli.command import BadInput, name_environment_options, print_json, registered
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.plan_file import read_plan, write_plan
from cogo_dagster.cli.progress import progress_bar
from cogo_dagster.cli.tables import Column, print_table
from cogo_dagster.formatting.values import counted
from cogo_dagster.queue.bulk import MAX_LIMIT, Operation, Progress, Totals, preview
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.grammar import JobSearch

_SHOWN = 50
_SUMS = 10
_ID_CHARS: Final = 36

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        max=MAX_LIMIT,
        envvar="LIMIT",
        help=f"Maximum number of rows, up to {MAX_LIMIT:,}; no limit by default.",
    ),
]
DryRun = Annotated[
    bool | None,
    typer.Option("--dry-run/--no-dry-run", envvar="DRY_RUN", help="Show what would change without changing it."),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Write the result of a dry run to a file, for --apply.")
]
ApplyFile = Annotated[
    Path | None,
    typer.Option("--apply", metavar="FILE", help="Apply a plan; rows that have changed since are skipped."),
]


def _option(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


_DRY_RUN: Final = _option("dry_run", DryRun)
_PLANNED: Final = (
    _option("limit", Limit),
    _DRY_RUN,
    _option("plan_file", PlanFile),
    _option("apply_file", ApplyFile),
)


@dataclass(frozen=True, slots=True)
class Labels:
    """Text for the messages of a bulk command.

    Attributes:
        noun: What is changed, singular: `job`.
        done: Past participle of the operation: `retried`.
        columns: Columns that a dry run prints.
    """

    noun: str
    done: str
    columns: Sequence[Column]

    def count(self, number: int) -> str:
        """Return a number and the noun, as `2 jobs`."""
        return counted(number, self.noun)


@dataclass(frozen=True, slots=True)
class Mode:
    """How a bulk command runs: dry run, dry run with a plan, execution, or execution of a plan.

    Raises:
        BadInput: The options contradict each other, or the plan cannot be read.
        InvalidArgument: The file does not hold a plan.
    """

    dry_run: bool
    plan_file: Path | None = None
    plan: BulkPlan | None = None
    limit: int | None = None

    @classmethod
    def of(
        cls,
        context: typer.Context,
        dry_run: bool | None,
        plan_file: Path | None,
        apply_file: Path | None,
        limit: int | None,
        *,
        dry_run_by_default: bool,
    ) -> "Mode":
        """Return the mode that the options select."""
        if apply_file is not None:
            _check_apply_options(context, dry_run)
            return cls(dry_run=False, plan=read_plan(apply_file))
        if plan_file is not None and dry_run is False:
            raise BadInput(
                "--plan makes a dry run: remove --no-dry-run (or DRY_RUN=false), then use --apply with the file."
            )
        return cls(
            plan_file is not None or (dry_run_by_default if dry_run is None else dry_run), plan_file, None, limit
        )


def bulk(
    app: typer.Typer,
    labels: Labels,
    *,
    dry_run_by_default: bool = False,
    planned: bool = True,
    name: str | None = None,
    afterwards: Callable[[Totals, bool, bool], None] | None = None,
) -> Callable[[Callable[..., Operation]], Callable[..., None]]:
    """Return a decorator that makes a bulk command of a function that returns the operation.

    The command takes the function's options, those of all bulk commands, and `--json`.

    Args:
        app: Group of the command.
        labels: Text for its messages.
        dry_run_by_default: Whether the command makes a dry run without `--no-dry-run`.
        planned: Whether the command accepts a limit and plans.
        name: Name of the command; by default that of the function.
        afterwards: Called with the totals, whether it was a dry run, and whether the output is JSON.
    """

    def register(function: Callable[..., Operation]) -> Callable[..., None]:
        takes_flag = "as_json" in inspect.signature(function).parameters

        def run_command(
            *,
            context: typer.Context,
            as_json: bool,
            dry_run: bool | None,
            limit: int | None = None,
            plan_file: Path | None = None,
            apply_file: Path | None = None,
            **options: Json,
        ) -> None:
            operation = function(**options, **({"as_json": as_json} if takes_flag else {}))
            mode = Mode.of(context, dry_run, plan_file, apply_file, limit, dry_run_by_default=dry_run_by_default)
            name_environment_options(context)
            with hint_at_filters(operation), opened(read_settings()) as application:
                totals = run(application, operation, mode, labels, as_json=as_json)
            if afterwards is not None:
                afterwards(totals, mode.dry_run, as_json)

        return registered(run_command, function, app, name, _PLANNED if planned else (_DRY_RUN,))

    return register


def run(application: Application, operation: Operation, mode: Mode, labels: Labels, *, as_json: bool) -> Totals:
    """Run an operation and print its report.

    Raises:
        BadInput: A plan file cannot be read or written.
        QueueError: See `queue.bulk`, and `Queue.find_id` for IDs that are given in part.
    """
    if named := operation.arguments.get("job_ids"):
        job_ids = [given if len(given) == _ID_CHARS else str(application.queue.find_id(given)) for given in named]
        operation = replace(operation, arguments={**operation.arguments, "job_ids": job_ids})
    if part := operation.arguments.get("discard_id"):
        found_id = str(application.queue.find_any("operation", part))
        operation = replace(operation, arguments={**operation.arguments, "discard_id": found_id})
    if mode.dry_run:
        found = None
        if isinstance(operation, FilterOperation):
            totals, found = previewed(application, operation, mode.limit)
            labels = replace(labels, columns=COLUMNS)
        else:
            with _progress(application, operation, labels, mode.limit, as_json) as on_batch:
                totals = preview(application.queue, operation, mode.limit, on_batch=on_batch)
        if not as_json:
            print_preview(operation, found, totals.left_out)
        if mode.plan_file is not None:
            write_plan(mode.plan_file, _plan(application, operation, totals))
    else:
        totals = _execute(application, operation, mode, labels, quiet=as_json)
    if as_json:
        print_json(document(totals, dry_run=mode.dry_run))
    else:
        shown = _with_subjects(application.queue, totals.items[:_SHOWN]) if mode.dry_run else []
        _print_totals(totals, mode, labels, shown)
    return totals


def document(totals: Totals, *, dry_run: bool) -> dict[str, Json]:
    """Return what `--json` prints."""
    counts = {"matched": totals.matched, "changed": totals.changed, "skipped": totals.skipped, "dry_run": dry_run}
    operation = {"operation_id": totals.action_id} if totals.action_id else {}
    left_out = {"left_out": totals.left_out.document} if totals.left_out.counts else {}
    return counts | operation | dict(totals.counts) | left_out | ({"items": totals.items} if totals.items else {})


def actor() -> str:
    """Return `user@host` for the operations log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user ID has no name, as in a container
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{platform.node()}"


def _execute(application: Application, operation: Operation, mode: Mode, labels: Labels, *, quiet: bool) -> Totals:
    plan = mode.plan
    if plan is not None:
        plan.require(operation.function, str(application.queue.schema_version().deployment_id), datetime.now(UTC))
    operation = _planned(plan) if plan else operation
    total = len(plan.items) if plan else mode.limit
    with _progress(application, operation, labels, total, quiet) as on_batch:
        if isinstance(operation, FilterOperation):
            return performed(application, operation, plan, limit=mode.limit, actor=actor(), on_batch=on_batch)
        return application.perform(
            operation,
            actor(),
            limit=mode.limit,
            items=plan.items if plan else None,
            on_batch=on_batch,
        )


def _planned(plan: BulkPlan) -> Operation:
    if plan.where is None:
        return plan.operation
    return FilterOperation(plan.operation.function, plan.operation.arguments, JobSearch.parse(plan.where), plan.name)


@contextmanager
def _progress(
    application: Application, operation: Operation, labels: Labels, total: int | None, quiet: bool
) -> Iterator[Progress]:
    """Show a progress bar; without a limit or a plan, the database counts the rows first."""

    def rows() -> int | None:
        with suppress(QueueError):  # a database of another release, or an argument that the operation rejects
            counted_rows = application.queue.count_operation(operation.function, operation.set_arguments)
            return counted_rows if total is None or counted_rows is None else min(total, counted_rows)
        return total

    is_planned = isinstance(operation, FilterOperation)
    with progress_bar(f"{labels.noun}s", (lambda: total) if is_planned else rows, quiet=quiet) as advance:
        yield lambda so_far: advance(so_far.matched)


def _with_subjects(queue: Queue, items: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Return items of jobs with what the jobs are about; items of artifacts have no ID of a job in `id`."""
    ids = [UUID(str(item["id"])) for item in items if "type" in item]
    subjects = {str(job.id): job.subject for job in queue.get_jobs(ids)} if ids else {}
    return [{**item, "subject": subjects.get(str(item["id"]))} for item in items]


def _print_totals(totals: Totals, mode: Mode, labels: Labels, shown: Sequence[Mapping[str, Json]]) -> None:
    if mode.dry_run:
        if shown:
            print_table(shown, labels.columns, when_empty="")
        if len(totals.items) > _SHOWN:
            typer.echo(f"… and {len(totals.items) - _SHOWN:,} more; use --json or --plan FILE for all of them.")
            _print_sums(totals.items)
        typer.echo(
            f"{labels.count(totals.matched)} would be {labels.done}. Nothing was changed{_next_step(totals, mode)}."
        )
        return
    named = totals.left_out.counts.total()
    unnamed = totals.skipped + totals.counts["ineligible"] - named
    rest = f"; skipped {unnamed:,} that changed in the meantime" if unnamed > 0 else ""
    rest += f"; {named:,} could not be {labels.done}" if named else ""
    typer.echo(f"{labels.count(totals.changed)} {labels.done}{rest}.")
    print_left_out(totals.left_out)


def _print_sums(items: Sequence[Mapping[str, Json]]) -> None:
    """Print the number of items by type and by status."""
    for name in ("type", "status"):
        sums = Counter(str(item[name]) for item in items if item.get(name))
        if sums:
            typer.echo(f"By {name}: {', '.join(f'{value} {count:,}' for value, count in sums.most_common(_SUMS))}.")


def _next_step(totals: Totals, mode: Mode) -> str:
    if not totals.matched:
        return ""
    if mode.plan_file is not None:
        return f"; apply the plan within a day with `--apply {mode.plan_file}`"
    return "; use --no-dry-run (or DRY_RUN=false) to make changes"


def _plan(application: Application, operation: Operation, totals: Totals) -> BulkPlan:
    deployment_id = str(application.queue.schema_version().deployment_id)
    made = BulkPlan(operation, totals.items, deployment_id, datetime.now(UTC), actor())
    if isinstance(operation, FilterOperation):
        return replace(
            made,
            operation=Operation(operation.function, operation.arguments),
            where=str(operation.search),
            name=operation.name,
        )
    return made


def _check_apply_options(context: typer.Context, dry_run: bool | None) -> None:
    """Reject filters beside `--apply`, which would have no effect."""
    if dry_run:
        raise BadInput("--apply and --dry-run (or DRY_RUN=true) exclude each other: remove one of them.")
    typed = _typed(context) - {"apply_file", "as_json", "dry_run"}
    if typed:
        names = {parameter.name: parameter.opts[0] for parameter in context.command.params}
        options: Mapping[str, str] = {name or "": option for name, option in names.items()}
        raise BadInput(
            f"--apply takes its rows from the plan: remove {', '.join(sorted(options[name] for name in typed))}."
        )


def _typed(context: typer.Context) -> set[str]:
    """Return the parameters given on the command line, not by the environment."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
