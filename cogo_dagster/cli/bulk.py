"""What the bulk commands have in common: their options, dry run, plan, action, and how each is reported."""

import getpass
import inspect
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.cli.command import BadInput, print_json, registered
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import Column, print_table
from cogo_dagster.queue.bulk import MAX_LIMIT, Operation, Progress, Totals, ignore_progress, preview
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.queue.model import Json

_SHOWN = 50

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        max=MAX_LIMIT,
        envvar="LIMIT",
        help=f"At most so many, up to {MAX_LIMIT:,}; all that match if left out.",
    ),
]
DryRun = Annotated[
    bool | None, typer.Option("--dry-run/--no-dry-run", envvar="DRY_RUN", help="Show what would happen, write nothing.")
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Write down what a dry run found, to do it later.")
]
ApplyFile = Annotated[
    Path | None,
    typer.Option("--apply", metavar="FILE", help="Do exactly what a plan says, but for what changed since."),
]

_CONTEXT: Final = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


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
class Words:
    """How a command speaks of what it does.

    Attributes:
        noun: What it does it to: `job`.
        done: What it does: `retried`.
        columns: What a dry run shows of each row.
    """

    noun: str
    done: str
    columns: Sequence[Column]

    def count(self, number: int) -> str:
        """Say how many."""
        return f"{number:,} {self.noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Mode:
    """How a bulk command was asked to work: list, list into a file, act, or act on a file.

    Raises:
        BadInput: The options contradict each other.
    """

    dry_run: bool
    plan_file: Path | None = None
    apply_file: Path | None = None
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
        cautious: bool,
    ) -> "Mode":
        """Read the options; a `cautious` command is a dry run unless told otherwise."""
        if apply_file is not None:
            _refuse_beside_apply(context, dry_run)
            return cls(dry_run=False, apply_file=apply_file)
        if plan_file is not None and dry_run is False:
            raise BadInput(
                "--plan only writes a plan: leave out --no-dry-run (or DRY_RUN=false), then --apply the file."
            )
        return cls(plan_file is not None or (cautious if dry_run is None else dry_run), plan_file, None, limit)


def bulk(
    app: typer.Typer,
    words: Words,
    *,
    cautious: bool = False,
    planned: bool = True,
    afterwards: Callable[[Totals, bool, bool], None] | None = None,
) -> Callable[[Callable[..., Operation]], Callable[..., None]]:
    """Make a bulk command of a function that returns the operation.

    The command has the function's options, those of all bulk commands, and `--json`.

    Args:
        app: The group it belongs to.
        words: How it speaks of what it does.
        cautious: It is a dry run unless told otherwise.
        planned: It takes a limit and plans; otherwise it does all there is to do.
        afterwards: Called with the totals, whether it was a dry run, and whether JSON was asked for.
    """

    def register(function: Callable[..., Operation]) -> Callable[..., None]:
        takes_flag = "as_json" in inspect.signature(function).parameters

        def run_it(
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
            mode = Mode.of(context, dry_run, plan_file, apply_file, limit, cautious=cautious)
            with open_application(read_settings()) as application:
                totals = run(application, operation, mode, words, as_json=as_json)
            if afterwards is not None:
                afterwards(totals, mode.dry_run, as_json)

        return registered(run_it, function, app, None, (*(_PLANNED if planned else (_DRY_RUN,)), _CONTEXT))

    return register


def run(application: Application, operation: Operation, mode: Mode, words: Words, *, as_json: bool) -> Totals:
    """Do what was asked, and report it.

    Raises:
        BadInput: A plan file cannot be read or written.
        QueueError: See `queue.bulk`.
    """
    if mode.dry_run:
        totals = preview(application.queue, operation, mode.limit)
        if mode.plan_file is not None:
            _write(mode.plan_file, _plan(application, operation, totals))
    else:
        totals = _act(application, operation, mode, words, quiet=as_json)
    if as_json:
        print_json(document(totals, dry_run=mode.dry_run))
    else:
        _say(totals, mode, words)
    return totals


def document(totals: Totals, *, dry_run: bool) -> dict[str, Json]:
    """Return what `--json` prints."""
    counts = {"matched": totals.matched, "changed": totals.changed, "skipped": totals.skipped, "dry_run": dry_run}
    return counts | dict(totals.counts) | ({"items": totals.items} if totals.items else {})


def actor() -> str:
    """Say who runs this command, for the log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return f"{user}@{platform.node()}"


def _act(application: Application, operation: Operation, mode: Mode, words: Words, *, quiet: bool) -> Totals:
    plan = None
    if mode.apply_file is not None:
        plan = BulkPlan.from_json(_read(mode.apply_file))
        plan.require(operation.function, str(application.queue.schema_version().deployment_id), datetime.now(UTC))
    with _progress(words, len(plan.items) if plan else mode.limit, quiet) as on_batch:
        return application.perform(
            plan.operation if plan else operation,
            actor(),
            limit=mode.limit,
            items=plan.items if plan else None,
            on_batch=on_batch,
        )


@contextmanager
def _progress(words: Words, total: int | None, quiet: bool) -> Iterator[Progress]:
    """Show on standard error how far it is, where somebody looks at it."""
    # rich.progress is slow to import, and only acting needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield ignore_progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{words.noun}s", total=total)
        yield lambda so_far: bar.update(task, completed=so_far.matched)


def _say(totals: Totals, mode: Mode, words: Words) -> None:
    if mode.dry_run:
        if totals.items:
            print_table(totals.items[:_SHOWN], words.columns, when_empty="")
        if len(totals.items) > _SHOWN:
            typer.echo(f"… and {len(totals.items) - _SHOWN:,} more; --json or --plan FILE has them all.")
        typer.echo(
            f"{words.count(totals.matched)} would be {words.done}. Nothing was changed{_next_step(totals, mode)}."
        )
        return
    skipped = f"; {totals.skipped:,} left alone, since they changed meanwhile" if totals.skipped else ""
    typer.echo(f"{words.count(totals.changed)} {words.done}{skipped}.")


def _next_step(totals: Totals, mode: Mode) -> str:
    if not totals.matched:
        return ""
    if mode.plan_file is not None:
        return f"; `--apply {mode.plan_file}` does it, within a day"
    return "; --no-dry-run (or DRY_RUN=false) does it"


def _plan(application: Application, operation: Operation, totals: Totals) -> BulkPlan:
    deployment_id = str(application.queue.schema_version().deployment_id)
    return BulkPlan(operation, totals.items, deployment_id, datetime.now(UTC), actor())


def _write(file: Path, plan: BulkPlan) -> None:
    try:
        file.write_text(json.dumps(plan.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"The plan cannot be written to {file} ({error.strerror}): name a file in a folder of yours."
        ) from None


def _read(file: Path) -> Json:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"The plan cannot be read from {file} ({error.strerror}): make one with --plan FILE.") from None
    except ValueError:
        raise BadInput(f"{file} is no plan, since it is not JSON: make one with --plan FILE.") from None


def _refuse_beside_apply(context: typer.Context, dry_run: bool | None) -> None:
    """A plan says everything: whoever adds a filter expects something that does not happen."""
    if dry_run:
        raise BadInput("--apply acts, and --dry-run (or DRY_RUN=true) forbids it: leave out one of them.")
    typed = _typed(context) - {"apply_file", "as_json", "dry_run"}
    if typed:
        names = {parameter.name: parameter.opts[0] for parameter in context.command.params}
        words: Mapping[str, str] = {name or "": option for name, option in names.items()}
        raise BadInput(
            f"--apply does what the plan says: leave out {', '.join(sorted(words[name] for name in typed))}."
        )


def _typed(context: typer.Context) -> set[str]:
    """Return the parameters that were written on the command line, as opposed to set in the environment."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
