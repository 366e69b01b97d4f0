"""Options that several commands share, and the settings they change."""

from pathlib import Path
from typing import Annotated

import typer

from cogo_dagster.cli.words import seconds_of
from cogo_dagster.queue.bulk import MAX_LIMIT
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import Settings, load_settings

MAX_ROWS = 1_000
"""The engine returns no more rows at once."""

Limit = Annotated[
    int, typer.Option("--limit", min=1, max=MAX_ROWS, envvar="LIMIT", help=f"At most so many rows, up to {MAX_ROWS:,}.")
]
BulkLimit = Annotated[
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
Since = Annotated[
    float | None,
    typer.Option("--since", parser=seconds_of, metavar="DURATION", help="Only of the last 30m, 2h, 1d …"),
]
TypePrefix = Annotated[str | None, typer.Option("--type", help="Only types that begin so: browser has browser.pdf.")]
ExecutorFilter = Annotated[str | None, typer.Option("--executor", help="Only jobs addressed to this executor id.")]


def read_settings(**options: Json) -> Settings:
    """Read the environment, with options by their variable's name where they are given.

    Raises:
        SettingsError: One sentence per wrong setting.
    """
    return load_settings(**{name: value for name, value in options.items() if value is not None})
