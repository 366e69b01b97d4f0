"""What every command has: a group, exit codes, the open application, and a report for people or as JSON.

Light on purpose: `cogo --help` and `cogo version` import this and little else.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Final

import typer

from cogo_dagster.text import printable


class ExitCode(IntEnum):
    """The codes of every command."""

    OK = 0
    FAILED = 1  # the work failed, or was refused as things are
    BAD_INPUT = 2  # an option, a payload or a setting is wrong
    NOT_COMPUTED = 3  # too little data for an answer
    DATABASE = 4  # the database (or the API that stands for it) cannot be reached, or is not at this release
    ACCESS_DENIED = 5  # the database, or the API that stands for it, refuses the key, the login or the role
    STUCK = 6  # the worker's claim loop did not answer any more, and the worker ended itself
    INTERRUPTED = 130


EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed or refused, 2 wrong option or setting, 3 too little data for an answer, "
    "4 database unavailable or not migrated, 5 access denied, 6 worker stuck, 130 interrupted."
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_STEERING: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class BadInput(typer.TyperException):
    """An option's value cannot be used; the message is one sentence that says what to correct."""

    exit_code = ExitCode.BAD_INPUT


@dataclass(frozen=True, slots=True)
class Report:
    """What a command answers.

    Attributes:
        document: What `--json` prints.
        text: What people read: a text to print, or what prints it.
        exit_code: 0 unless the answer is bad news.
        error: A sentence for standard error, in either form.
    """

    document: object
    text: str | Callable[[], None]
    exit_code: ExitCode = ExitCode.OK
    error: str | None = None

    def show(self, *, as_json: bool) -> None:
        """Print it, and exit where the code is not 0."""
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


def group(summary: str) -> typer.Typer:
    """Make a group of commands; called without one, it prints its help."""
    return typer.Typer(
        help=summary,
        callback=help_when_nothing_is_called,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def help_when_nothing_is_called(context: typer.Context) -> None:
    """Print the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def command(
    app: typer.Typer | None = None, name: str | None = None
) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Make a command of a function that answers with a report.

    The command has the function's options and `--json`. A parameter `application` is no option: the application of the
    settings is opened for it, and closed before the report is printed.

    Args:
        app: The group it belongs to; None for a command of one word.
        name: Its name, where it is not the function's.
    """

    def register(function: Callable[..., Report]) -> Callable[..., None]:
        parameters = inspect.signature(function).parameters

        def run(**options: Any) -> None:
            as_json = options["as_json"] if "as_json" in parameters else options.pop("as_json")
            if "application" in parameters:
                from cogo_dagster.bootstrap import open_application  # noqa: PLC0415 - most commands need no more
                from cogo_dagster.settings import load_settings  # noqa: PLC0415

                with open_application(load_settings()) as application:
                    report = function(application, **options)
            else:
                report = function(**options)
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
    """Give *run* the options and the help of *function*, further options and `--json`, and add it to the group."""
    own = inspect.signature(function).parameters.values()
    flag = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonFlag)
    shown = [one for one in own if one.name not in ("application", "as_json")]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*shown, *options, flag)]
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010 - typer reads it, and no type has it
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    return run if app is None else app.command(name)(run)


def print_json(document: object) -> None:
    """Print one document on standard output; what would steer a terminal is escaped as JSON does."""
    typer.echo(_escaped(json.dumps(document, indent=2, ensure_ascii=False, default=_encodable)))


def one_json_line(document: object) -> str:
    """Return a document in one line, escaped alike."""
    return _escaped(json.dumps(document, ensure_ascii=False, default=_encodable))


def _encodable(value: object) -> object:
    """Return the document of a row, and the text of any other value that JSON does not know."""
    document = getattr(value, "document", None)
    return str(value) if document is None else document


def _escaped(text: str) -> str:
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo_markdown(text: str) -> None:
    """Print Markdown: as it is into a file or a pipe, without its signs on a terminal."""
    if sys.stdout.isatty():
        from cogo_dagster.alerts.chat_text import chat_text  # noqa: PLC0415 - alerts cost every start 0.2 s

        plain = chat_text(text, printable, lambda title, url: f"{title} ({url})")
        text = re.sub(r"\*([^*\n]+)\*", r"\1", plain.replace("```\n", "").replace("\n```", ""))
    typer.echo(text)
