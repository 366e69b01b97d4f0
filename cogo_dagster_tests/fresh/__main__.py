"""Run the selected rows and print a line each; exit 1 if one fails, 2 if none is selected."""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cogo_dagster_tests.fresh.debian import debian
from cogo_dagster_tests.fresh.rows import NEXT_SUITE, Row, all_rows, next_rows
from cogo_dagster_tests.fresh.run import run_row

_FOLDER = Path(tempfile.gettempdir()) / "cogo-fresh"


def main(
    only: Annotated[str, typer.Option(help="Only rows whose name contains all of these words.")] = "",
    folder: Annotated[Path, typer.Option(help="Folder for root directories and logs; needs 20 GB.")] = _FOLDER,
) -> None:
    """Run the README's commands on minimal machines."""
    rows = chosen_rows(only)
    if os.geteuid() != 0:
        typer.echo("This creates root directories and mounts: run it as root.", err=True)
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machine is stopped and removed too
    folder.mkdir(parents=True, exist_ok=True)
    passed = [_reported(row, folder) for row in rows]
    if not all(passed):
        raise typer.Exit(1)


def chosen_rows(only: str) -> list[Row]:
    """Return the rows whose name contains all of these words; exit with 2 and list all rows if there is none."""
    words = only.split()
    rows = next_rows() if NEXT_SUITE in words else all_rows()
    chosen = [row for row in rows if all(word in row.name.split() for word in words)]
    if not chosen:
        names = "\n".join(f"  {row.name}" for row in (*all_rows(), *next_rows()))
        typer.echo(f"No row has the words {only!r}: pass words of one of these rows to --only.\n{names}", err=True)
        raise typer.Exit(2)
    return chosen


def _reported(row: Row, folder: Path) -> bool:
    outcome = run_row(row, debian(row.suite, folder), folder)
    typer.echo(f"{row.name:<60} {outcome.sentence}")
    sys.stdout.flush()
    return outcome.passed


if __name__ == "__main__":
    typer.run(main)
