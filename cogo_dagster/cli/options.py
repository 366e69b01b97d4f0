"""Options that several commands share, and the settings they change."""

from typing import Annotated

import typer

from cogo_dagster.formatting.values import parse_duration
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings, is_checkout, load_settings


def seconds_of(given: str | float) -> float:
    """Read a duration: `90`, `90s`, `30m`, `2h`, `1d`, `1w`.

    Raises:
        BadParameter: It is not one, or longer than ten years.
    """
    seconds = parse_duration(str(given))
    if seconds is None:
        raise typer.BadParameter(
            f"{given!r} is not a duration of at most ten years: write it as 90s, 30m, 2h, 1d or 1w"
        )
    return seconds


MAX_ROWS = 1_000
"""The engine returns no more rows at once."""

Limit = Annotated[
    int, typer.Option("--limit", min=1, max=MAX_ROWS, envvar="LIMIT", help=f"At most so many rows, up to {MAX_ROWS:,}.")
]
Since = Annotated[
    float | None,
    typer.Option("--since", parser=seconds_of, metavar="DURATION", help="Only of the last 30m, 2h, 1d …"),
]
TypePrefix = Annotated[str | None, typer.Option("--type", help="Only types that begin so: browser has browser.pdf.")]
Fingerprint = Annotated[str | None, typer.Option(help="Only of this cause, as `cogo list incidents` shows it.")]
ExecutorFilter = Annotated[str | None, typer.Option("--executor", help="Only jobs addressed to this executor id.")]


def read_settings(**options: Json) -> Settings:
    """Read the environment, with options by their variable's name where they are given.

    Raises:
        SettingsError: One sentence per wrong setting.
    """
    return load_settings(**{name: value for name, value in options.items() if value is not None})


def typed(words: str) -> str:
    """Return what to type for a command of ours: in a checkout uv finds the program, installed it is on the PATH."""
    return f"uv run cogo {words}" if is_checkout() else f"cogo {words}"
