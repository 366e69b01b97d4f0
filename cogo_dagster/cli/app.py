"""The command `cogo`: dispatches to a subcommand, and turns errors into a message and an exit code."""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from dotenv import load_dotenv
from typer.core import TyperGroup

from cogo_dagster.cli.command import (
    EXIT_CODES,
    ExitCode,
    Report,
    command,
    group,
    print_help_without_command,
)
from cogo_dagster.imports import quick_imports
from cogo_dagster.text import is_storable, printable, storable


class CommandEntry(NamedTuple):
    """Where a command is defined, and its help text.

    Attributes:
        module: A module of this package.
        attribute: A group, or the function of a top-level command.
        summary: The first line of its help, repeated here so that `cogo --help` imports no command.
    """

    module: str
    attribute: str
    summary: str


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "enqueue": CommandEntry("enqueue", "app", "Add jobs."),
    "list": CommandEntry("list", "app", "Show jobs, artifacts, workers, dead-lettered jobs and operations."),
    "job": CommandEntry("job", "app", "Show one job, or cancel it."),
    "watch": CommandEntry("watch", "watch", "Follow a job until it has finished; exit with 1 unless it succeeded."),
    "open": CommandEntry("watch", "open_", "Open the page of a job in a browser, and print its address."),
    "artifact": CommandEntry("artifact", "app", "Fetch artifacts, or sign their URLs."),
    "retry": CommandEntry("operations", "retry", "Retry failed jobs."),
    "replay": CommandEntry("operations", "replay", "Replay dead-lettered jobs."),
    "discard": CommandEntry("operations", "discard", "Discard dead-lettered jobs."),
    "cancel": CommandEntry("operations", "cancel", "Cancel jobs."),
    "undo": CommandEntry("operations", "undo", "Undo an operation."),
    "action": CommandEntry("action", "app", "Show one bulk action, continue it, or stop it."),
    "recover": CommandEntry("operations", "recover", "Recover jobs whose lease has expired."),
    "cleanup": CommandEntry("operations", "cleanup", "Delete expired artifacts."),
    "purge": CommandEntry("operations", "purge", "Delete finished jobs."),
    "pause": CommandEntry("pause", "pause", "Pause claims of a type or by an executor ID until `cogo resume`."),
    "resume": CommandEntry("pause", "resume", "Resume a type or an executor ID, or end the wait for a rate limit."),
    "vault": CommandEntry("vault", "app", "Manage secrets, encrypted with a key that is never stored in the database."),
    "tokens": CommandEntry("web", "tokens", "Manage access tokens for the dashboard and its API."),
    "router": CommandEntry("router", "app", "Select a provider by capability, health and cost."),
    "alerts": CommandEntry("alerts", "app", "Show, deliver and silence alerts, and test the targets."),
    "notify": CommandEntry("weekly", "notify", "Send a notification to every target of WEBHOOK_TYPE."),
    "db": CommandEntry("db", "app", "Start, migrate and inspect the database."),
    "gate": CommandEntry("gate", "app", "Record and list runs of the quality gate."),
    "metrics": CommandEntry("metrics", "metrics", "Store snapshots of the quality gate, and backtest a threshold."),
    "weekly": CommandEntry("weekly", "app", "Show or enqueue the weekly summary of the quality gate."),
    "ci": CommandEntry("metrics", "ci", "Checks for continuous integration."),
    "demo": CommandEntry(
        "demo", "demo", "Start the embedded database, run browser jobs through Dagster, and list their artifacts."
    ),
    "dev": CommandEntry("dev", "dev", "Run the database, the Dagster UI and daemon, and the dashboard until Ctrl-C."),
    "doctor": CommandEntry(
        "doctor",
        "doctor",
        "Check every service that the settings use, with advice; exit with 1 if a check fails.",
    ),
    "drill": CommandEntry(
        "drill",
        "drill",
        "Kill a worker, expire a lease, replay a job twice and lose replies, on a scratch database.",
    ),
    "stats": CommandEntry(
        "stats",
        "stats",
        "Show counts of queued, running, failed and dead-lettered jobs, lease losses and workers, and why jobs wait.",
    ),
    "web": CommandEntry(
        "web",
        "web",
        "Serve the metrics API and the dashboard until Ctrl-C, and deliver alerts if WEBHOOK_TYPE is set.",
    ),
    "worker": CommandEntry(
        "worker",
        "worker",
        "Run jobs until a signal, up to --max-jobs, or with --drain until no job is due. Log to standard error.",
    ),
    "version": CommandEntry("app", "version", "Print the version of this program."),
}
"""The subcommands of `cogo`."""

_PROJECT: Final = Path(__file__).resolve().parents[2]


class LazyGroup(TyperGroup):
    """Lists commands by their summaries; imports a module when one of its commands is called or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first argument names, and the remaining arguments."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and found else found, rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The arguments after `cogo`; those of the process by default.
    """
    argv = expand_colons(sys.argv[1:] if arguments is None else arguments)
    _load_env_file()
    try:
        _check_text(argv)
        code = _cogo()(args=argv, prog_name="cogo", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        # Imported on failure only: it imports the modules of all errors.
        from cogo_dagster.cli.failures import report  # noqa: PLC0415

        code = report(error, as_json="--json" in argv)
        if code is None:
            raise
    return int(code or 0)


def expand_colons(arguments: Sequence[str]) -> list[str]:
    """Expand the colon syntax: `list:jobs` is `list jobs`, and a trailing `:sb` is `--source db`."""
    argv = list(arguments)
    first = next((at for at, argument in enumerate(argv) if not argument.startswith("-")), None)
    if first is None:
        return argv
    parts = argv[first].split(":")
    source = ["--source", "db"] if len(parts) > 1 and parts[-1] == "sb" else []
    return [*argv[:first], *(parts[:-1] if source else parts), *source, *argv[first + 1 :]]


@cache
def load(name: str) -> Any:
    """Import a command and return it as a Click command."""
    entry = COMMANDS[name]
    with quick_imports():
        definition = getattr(import_module(f"cogo_dagster.cli.{entry.module}"), entry.attribute)
    parent = group("")
    if isinstance(definition, typer.Typer):
        parent.add_typer(definition, name=name)
    else:
        parent.command(name)(definition)
    return typer.main.get_group(parent).commands[name]


@command()
def version() -> Report:
    """Print the version of this program."""
    import platform  # noqa: PLC0415

    from cogo_dagster.release import code_version  # noqa: PLC0415 - the import takes 20 ms

    number = code_version()
    return Report({"version": number, "python": platform.python_version()}, f"cogo-dagster {number}")


@cache
def _cogo() -> Any:
    app = typer.Typer(
        cls=LazyGroup,
        help="Operate COGO Agent Core: the job queue, its workers, alerts and quality gate.",
        epilog=EXIT_CODES,
        callback=_root,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for name, entry in COMMANDS.items():
        app.command(name, help=entry.summary)(_placeholder)
    return typer.main.get_command(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cogo_dagster.release import code_version  # noqa: PLC0415 - the import takes 20 ms

        typer.echo(f"cogo-dagster {code_version()}")
        raise typer.Exit


def _root(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Print the help if no command was given."""
    del version  # its callback has printed it
    print_help_without_command(context)


def _placeholder() -> None:
    """Stand for a command in the help."""


def _check_text(argv: Sequence[str]) -> None:
    """Check that the arguments can be stored in PostgreSQL.

    Raises:
        BadParameter: An argument is not UTF-8, or contains U+0000.
    """
    for argument in argv:
        if not is_storable(argument):
            raise typer.BadParameter(
                f"{printable(storable(argument))[:80]!r} is not UTF-8 text without U+0000: write it in UTF-8"
            )


def _load_env_file() -> None:
    """Read `.env` in the working directory, or else in the project; the environment takes precedence."""
    for file in (Path(".env"), _PROJECT / ".env"):
        if file.is_file():
            load_dotenv(file, override=False)
            return
