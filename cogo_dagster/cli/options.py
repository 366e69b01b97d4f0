"""Options shared by commands, and reading of settings with options applied."""

import re
from typing import Annotated, Any

import typer

from cogo_dagster.cli import completion
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.queue.search.times import parse_duration
from cogo_dagster.settings import Settings, is_checkout, load_settings


def seconds_of(text: str | float) -> float:
    """Parse a duration, `90`, `90s`, `30m`, `2h`, `1d` or `1w`, to seconds.

    Raises:
        BadParameter: It is not a duration, or longer than ten years.
    """
    seconds = parse_duration(str(text))
    if seconds is None:
        raise typer.BadParameter(f"{text!r} is not a duration of at most ten years: write it as 90s, 30m, 2h, 1d or 1w")
    return seconds


def part_of_id(text: str) -> str:
    """Check that a text is a job ID, or its first or last digits.

    Raises:
        BadParameter: It is not.
    """
    if not re.fullmatch("[0-9a-fA-F]{8,32}", text.replace("-", "")):
        raise typer.BadParameter(f"{text!r} is not a valid UUID, nor 8 or more of its first or last digits")
    return text


JobId = Annotated[
    str,
    typer.Argument(
        parser=part_of_id,
        metavar="JOB_ID",
        autocompletion=completion.job_ids,
        help="ID of the job, from `cogo list jobs`; 8 first or last digits suffice.",
    ),
]
JobIds = Annotated[
    list[str] | None,
    typer.Argument(
        parser=part_of_id,
        metavar="[JOB_IDS]...",
        autocompletion=completion.job_ids,
        help="Only these jobs; all that match by default. 8 first or last digits of an ID suffice.",
    ),
]

MAX_ROWS = 1_000
"""The maximum number of rows that an SQL function returns."""


def search_of(text: str) -> JobSearch:
    """Parse a search in the filter language.

    Raises:
        BadParameter: A term is invalid.
    """
    search = JobSearch.parse(text)
    if search.problems:
        raise typer.BadParameter(" ".join(search.problems))
    return search


Where = Annotated[
    JobSearch | None,
    typer.Option(
        "--where",
        parser=search_of,
        metavar="FILTER",
        autocompletion=completion.searches,
        help="Only jobs that match this filter, such as 'error:timeout finished:yesterday'.",
    ),
]

Limit = Annotated[
    int,
    typer.Option("--limit", min=1, max=MAX_ROWS, envvar="LIMIT", help=f"Maximum number of rows, up to {MAX_ROWS:,}."),
]
Since = Annotated[
    float | None,
    typer.Option("--since", parser=seconds_of, metavar="DURATION", help="Maximum age of the rows: 30m, 2h, 1d …"),
]
TypePrefix = Annotated[
    str | None,
    typer.Option(
        "--type",
        autocompletion=completion.types,
        help="Only this type and the types below it: browser includes browser.pdf.",
    ),
]
Fingerprint = Annotated[
    str | None,
    typer.Option(autocompletion=completion.fingerprints, help="Only this fingerprint, from `cogo list incidents`."),
]


def executor_option(envvar: str | None = None) -> Any:
    """Return the option that filters by an executor ID, as an annotation.

    Args:
        envvar: The environment variable that also sets it.
    """
    return typer.Option(
        "--executor",
        envvar=envvar,
        autocompletion=completion.executors,
        help="Only jobs addressed to this executor ID.",
    )


ExecutorFilter = Annotated[str | None, executor_option()]


def read_settings(**options: Json) -> Settings:
    """Load the settings from the environment; options that are not None, by variable name, take precedence.

    Raises:
        SettingsError: A setting is invalid; one message per setting.
    """
    return load_settings(**{name: value for name, value in options.items() if value is not None})


def typed(arguments: str) -> str:
    """Return the command line for a `cogo` command, with `uv run` in a checkout."""
    return f"uv run cogo {arguments}" if is_checkout() else f"cogo {arguments}"
