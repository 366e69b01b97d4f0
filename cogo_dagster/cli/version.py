"""`cogo version`."""

import importlib.metadata
import platform

import typer

from cogo_dagster.cli.output import JsonFlag, print_json


def version(as_json: JsonFlag = False) -> None:
    """Print the version of this program."""
    number = importlib.metadata.version("cogo-dagster")
    if as_json:
        print_json({"version": number, "python": platform.python_version()})
    else:
        typer.echo(f"cogo-dagster {number}")
