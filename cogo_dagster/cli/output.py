"""How a command reports: one JSON document on standard output. Everything else goes to standard error."""

import json
from typing import Annotated

import typer

from cogo_dagster.queue.model import Json

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def print_json(document: Json) -> None:
    """Print one document on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
