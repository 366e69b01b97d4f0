"""Base of all commands: groups, exit codes, the open application, and reports as text or JSON.

The module has few imports, because `cogo --help` and `cogo version` import it.
"""

import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from cogo_dagster.text import printable


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    OK = 0
    FAILED = 1  # the operation failed, or the state does not allow it
    BAD_INPUT = 2  # an option, a payload or a setting is wrong
    NOT_COMPUTED = 3  # too little data for a result
    DATABASE = 4  # the database (or its API) is unreachable, or not at this release
    ACCESS_DENIED = 5  # the database (or its API) rejects the key, the login or the role
    STUCK = 6  # the claim loop stopped responding, and the worker exited
    INTERRUPTED = 130


EXIT_CODES: Final = (
    "Exit codes: 0 success, 1 failed or rejected, 2 invalid option or setting, 3 too little data for a result, "
    "4 database unreachable or not migrated, 5 access denied, 6 worker stuck, 130 interrupted."
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_NAMED_VARIABLES: Final = frozenset(
    {
        "ARTIFACT_TTL_DAYS",
        "EXECUTOR_ID",
        "JOB_PURGE_STATUSES",
        "JOB_TTL_DAYS",
        "JOB_TYPE",
        "LIMIT",
        "TYPE_PREFIX",
        "WORKER_ID",
    }
)
"""Variables that select rows or the address of a job, and are often set for other programs."""

_CONTEXT: Final = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

_CONTROL_CHARACTERS: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class BadInput(typer.TyperException):
    """The value of an option is invalid; the message says how to correct it."""

    exit_code = ExitCode.BAD_INPUT


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a command.

    Attributes:
        document: What `--json` prints.
        text: What is printed otherwise: a text, or a function that prints.
        exit_code: The exit code of the process.
        error: A message for standard error, with or without `--json`.
    """

    document: object
    text: str | Callable[[], None]
    exit_code: ExitCode = ExitCode.OK
    error: str | None = None

    def show(self, *, as_json: bool) -> None:
        """Print the report, and exit if the code is not 0."""
        if as_json:
            print_json(self.document)
        elif callable(self.text):
            self.text()
        elif self.text:
            typer.echo(self.text)
        if self.error:
            typer.echo(self.error, err=True)
        if self.exit_code is not ExitCode.OK:
            raise typer.Exit(self.exit_code)


class Group(TyperGroup):
    """A group that names the command meant by words in the wrong order: `list alerts` is `alerts list`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first argument names, and the remaining arguments."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException:
            own, other = ctx.info_name, args[0]
            if _is_command(other, own):
                raise BadInput(f"The command is `cogo {other} {own}`.") from None
            raise


def _is_command(name: str, subcommand: str) -> bool:
    from cogo_dagster.cli.app import COMMANDS, load  # noqa: PLC0415 - the table imports this module

    return name in COMMANDS and subcommand in getattr(load(name), "commands", {})


def group(summary: str) -> typer.Typer:
    """Return a group of commands that prints its help when it is called without a command."""
    return typer.Typer(
        cls=Group,
        help=summary,
        callback=print_help_without_command,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def print_help_without_command(context: typer.Context) -> None:
    """Print the help of a group if no command was given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def command(
    app: typer.Typer | None = None, name: str | None = None
) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Return a decorator that makes a command of a function that returns a report.

    The command takes the function's options and `--json`. A parameter `application` is not an option: it receives the
    application of the settings, which is closed before the report is printed.

    Args:
        app: Group of the command; None for a top-level command.
        name: Name of the command; that of the function by default.
    """

    def register(function: Callable[..., Report]) -> Callable[..., None]:
        parameters = inspect.signature(function).parameters

        def run(context: typer.Context, **options: Any) -> None:
            as_json = options["as_json"] if "as_json" in parameters else options.pop("as_json")
            if "application" in parameters:
                from cogo_dagster.cli.opened import opened  # noqa: PLC0415 - not every command needs it
                from cogo_dagster.settings import load_settings  # noqa: PLC0415

                with opened(load_settings()) as application:
                    report = function(application, **options)
            else:
                report = function(**options)
            name_environment_options(context)
            report.show(as_json=as_json)

        return registered(run, function, app, name)

    return register


def registered(
    run: Callable[..., None],
    function: Callable[..., object],
    app: typer.Typer | None,
    name: str | None,
    options: Sequence[inspect.Parameter] = (),
) -> Callable[..., None]:
    """Register `run` in the group, with the options and the help of `function`, further options and `--json`."""
    own = inspect.signature(function).parameters.values()
    flag = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonFlag)
    shown = [parameter for parameter in own if parameter.name not in ("application", "as_json")]
    every = (_CONTEXT, *shown, *options, flag)
    parameters = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in every]
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010 - read by typer; not in the type stubs
    run.__annotations__ = {option.name: option.annotation for option in parameters}
    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    return run if app is None else app.command(name)(run)


def name_environment_options(context: typer.Context) -> None:
    """Print on standard error which options the environment has set, because they are not in the command line."""
    named = {parameter.name: parameter for parameter in context.command.params}
    found = [
        f"{envvar}={os.environ.get(envvar, '')} ({named[name].opts[0]})"
        for name in context.params
        if (envvar := str(getattr(named.get(name), "envvar", None))) in _NAMED_VARIABLES
        and (source := context.get_parameter_source(name)) is not None
        and source.name == "ENVIRONMENT"
    ]
    if found:
        typer.echo(f"From the environment: {printable(', '.join(found))}.", err=True)


def print_json(document: object) -> None:
    """Print a document on standard output; control characters of terminals are escaped."""
    typer.echo(_escaped(json.dumps(document, indent=2, ensure_ascii=False, default=_encodable)))


def one_json_line(document: object) -> str:
    """Return a document as one line, with control characters escaped."""
    return _escaped(_LINES.encode(document))


def _encodable(value: object) -> object:
    """Return the document of a row, and the text of any other value that JSON cannot encode."""
    document = getattr(value, "document", None)
    return str(value) if document is None else document


_LINES: Final = json.JSONEncoder(ensure_ascii=False, default=_encodable)
"""`json.dumps` with these arguments would make one for each line."""


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL_CHARACTERS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo_markdown(text: str) -> None:
    """Print Markdown: unchanged into a file or a pipe, without its markup on a terminal."""
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - slow to import
        from rich.markdown import Markdown  # noqa: PLC0415

        console = Console(highlight=False, color_system=None)
        with console.capture() as captured:
            console.print(Markdown(printable(text), hyperlinks=False))
        lines = re.sub(r"[ \t]+$", "", captured.get().strip("\n"), flags=re.MULTILINE)
        text = re.sub(r"\n{3,}", "\n\n", lines)  # Rich adds an empty line above and below each table
    typer.echo(text)
