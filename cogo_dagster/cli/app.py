"""The command `cogo`: finds the command that is meant, runs it, turns what goes wrong into a sentence and a code."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer
from dotenv import load_dotenv
from typer.core import TyperGroup

from cogo_dagster.cli.command import (
    EXIT_CODES,
    ExitCode,
    Report,
    command,
    group,
    help_when_nothing_is_called,
)
from cogo_dagster.text import is_storable, printable, storable


class Place(NamedTuple):
    """Where a command is, and what the help says of it.

    Attributes:
        module: In this package.
        attribute: A group, or the function of a command of one word.
        summary: Its docstring or its group's help, so that the help imports nothing.
    """

    module: str
    attribute: str
    summary: str


COMMANDS: Final[Mapping[str, Place]] = {
    "enqueue": Place("enqueue", "app", "Add one job."),
    "list": Place("list", "app", "Show what is in the queue, who works on it, and what operators did."),
    "job": Place("job", "app", "Look at one job, or cancel it."),
    "retry": Place("operations", "retry", "Give failed jobs another chance."),
    "replay": Place("operations", "replay", "Put dead letters back into the queue."),
    "recover": Place("operations", "recover", "Take back what lost workers left."),
    "cleanup": Place("operations", "cleanup", "Let old artifacts go."),
    "purge": Place("operations", "purge", "Delete jobs that ended long ago."),
    "pause": Place("pause", "pause", "Claim no more jobs of a type, or by an executor, until `cogo resume`."),
    "resume": Place("pause", "resume", "End a pause: of ours, or of an outside service."),
    "vault": Place("vault", "app", "Keep secrets, encrypted with a key that the database never sees."),
    "tokens": Place("web", "tokens", "Give people and programs a token of their own for the dashboard and its API."),
    "router": Place("router", "app", "Choose a provider by capability, health and cost."),
    "alerts": Place("alerts", "app", "Show alerts, deliver them, silence them, and test where they go."),
    "notify": Place("weekly", "notify", "Tell people something through every target of WEBHOOK_TYPE."),
    "db": Place("db", "app", "Start, migrate and look at the database."),
    "gate": Place("gate", "app", "Record what a quality gate found, and look at what was recorded."),
    "metrics": Place("metrics", "metrics", "The gate's numbers, and what a threshold would have said."),
    "weekly": Place("weekly", "app", "How a week went, beside the week before."),
    "ci": Place("metrics", "ci", "Ask for a verdict, as continuous integration does."),
    "demo": Place(
        "demo", "demo", "Start the embedded database, run browser jobs through Dagster, show what they left."
    ),
    "dev": Place(
        "dev", "dev", "Start the database, the Dagster UI with its daemon, and the dashboard; stop them all on Ctrl-C."
    ),
    "doctor": Place(
        "doctor",
        "doctor",
        "Check everything that the settings use, and say what to do; exits with 1 if something does not work.",
    ),
    "drill": Place(
        "drill",
        "drill",
        "Kill a worker, expire a lease, replay a dead letter twice and lose replies, on a scratch database.",
    ),
    "stats": Place(
        "list", "stats", "Show the queue in numbers: what waits, runs, failed, was lost, and who is there to work."
    ),
    "web": Place(
        "web",
        "web",
        "Serve the metrics API and the dashboard until Ctrl-C; deliver alerts too, if WEBHOOK_TYPE is set.",
    ),
    "worker": Place(
        "worker",
        "worker",
        "Run jobs until a signal, after --max-jobs, or with --drain until nothing is due; log to standard error.",
    ),
    "version": Place("app", "version", "Print the version of this program."),
}
"""What follows `cogo`."""

_PROJECT: Final = Path(__file__).resolve().parents[2]


class LazyGroup(TyperGroup):
    """The commands by their summaries; a module is imported when one of its commands is called or completed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first word names, and the words after it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and found else found, rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after `cogo`; by default the process's.
    """
    words = spelled_out(sys.argv[1:] if arguments is None else arguments)
    _load_env_file()
    try:
        _check_text(words)
        code = _cogo()(args=words, prog_name="cogo", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        # Only a failure pays for importing what can fail.
        from cogo_dagster.cli.failures import report  # noqa: PLC0415

        code = report(error, as_json="--json" in words)
        if code is None:
            raise
    return int(code or 0)


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Write the colon spelling with spaces: `list:jobs` is `list jobs`, and a last `:sb` is `--source db`."""
    words = list(arguments)
    first = next((at for at, word in enumerate(words) if not word.startswith("-")), None)
    if first is None:
        return words
    parts = words[first].split(":")
    source = ["--source", "db"] if len(parts) > 1 and parts[-1] == "sb" else []
    return [*words[:first], *(parts[:-1] if source else parts), *source, *words[first + 1 :]]


def load(name: str) -> Any:
    """Import a command and return it as the command line's parser knows it."""
    place = COMMANDS[name]
    found = getattr(import_module(f"cogo_dagster.cli.{place.module}"), place.attribute)
    parent = group("")
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    return typer.main.get_group(parent).commands[name]


@command()
def version() -> Report:
    """Print the version of this program."""
    import platform  # noqa: PLC0415

    from cogo_dagster.release import code_version  # noqa: PLC0415 - costs every command 20 ms

    number = code_version()
    return Report({"version": number, "python": platform.python_version()}, f"cogo-dagster {number}")


def _cogo() -> typer.Typer:
    app = typer.Typer(
        cls=LazyGroup,
        help="COGO Agent Core's operations: the job queue, its workers and what watches over them.",
        epilog=EXIT_CODES,
        callback=help_when_nothing_is_called,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for name, place in COMMANDS.items():
        app.command(name, help=place.summary)(_summary)
    return app


def _summary() -> None:
    """Stand for a command in the help."""


def _check_text(words: Sequence[str]) -> None:
    """Reject what no database takes, before anything is made of it.

    Raises:
        BadParameter: A word is not UTF-8, or has U+0000 in it.
    """
    for word in words:
        if not is_storable(word):
            raise typer.BadParameter(
                f"{printable(storable(word))[:80]!r} is not text in UTF-8 without U+0000: write it in UTF-8"
            )


def _load_env_file() -> None:
    """Read `.env` here, else in the project; what the environment says already stands."""
    for file in (Path(".env"), _PROJECT / ".env"):
        if file.is_file():
            load_dotenv(file, override=False)
            return
