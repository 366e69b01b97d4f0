"""How a command reports: one JSON document on standard output. Everything else goes to standard error."""

import json
import re
from typing import Annotated, Final

import typer

from cogo_dagster.queue.model import Json

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


_STEERING: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_json(document: Json) -> None:
    """Print one document on standard output; what would steer a terminal is escaped as JSON does."""
    typer.echo(_escaped(json.dumps(document, indent=2, ensure_ascii=False, default=str)))


def one_json_line(document: Json) -> str:
    """Return a document in one line, escaped alike."""
    return _escaped(json.dumps(document, ensure_ascii=False, default=str))


def _escaped(text: str) -> str:
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
