"""How a command reports: one JSON document on standard output. Everything else goes to standard error."""

import json
import re
import sys
from typing import Annotated, Final

import typer

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.text import printable

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


_STEERING: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_json(document: Json) -> None:
    """Print one document on standard output; what would steer a terminal is escaped as JSON does."""
    typer.echo(_escaped(json.dumps(document, indent=2, ensure_ascii=False, default=_encodable)))


def one_json_line(document: Json) -> str:
    """Return a document in one line, escaped alike."""
    return _escaped(json.dumps(document, ensure_ascii=False, default=_encodable))


def _encodable(value: object) -> object:
    return value.document if isinstance(value, Row) else str(value)


def _escaped(text: str) -> str:
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo_markdown(text: str) -> None:
    """Print Markdown: as it is into a file or a pipe, without its signs on a terminal."""
    if sys.stdout.isatty():
        from cogo_dagster.alerts.chat_text import chat_text  # noqa: PLC0415 - alerts cost every start 0.2 s

        plain = chat_text(text, printable, lambda title, url: f"{title} ({url})")
        text = re.sub(r"\*([^*\n]+)\*", r"\1", plain.replace("```\n", "").replace("\n```", ""))
    typer.echo(text)
