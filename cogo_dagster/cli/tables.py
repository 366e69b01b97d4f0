"""Tables for people: as wide as the terminal, or whole where nobody reads them on one."""

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cogo_dagster.cli.command import Report, command
from cogo_dagster.formatting.values import NOTHING, one_line
from cogo_dagster.queue.model import Json
from cogo_dagster.text import printable

Row = Any

_ENDLESS: Final = 100_000
_MOST_CHARS: Final = 64_000
_MOST_CELL_CHARS: Final = 3_000  # more than an error has; the widest cell makes every line as long


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        value: Its cell in a row, as text.
        whole: Never shortened; the others give way to it where the terminal is narrow.
    """

    title: str
    value: Callable[[Row], str]
    whole: bool = False


def column(
    title: str, name: str | None = None, show: Callable[[Any], str] | None = None, *, whole: bool = False
) -> Column:
    """Return a column of one value of the row, an attribute or a key.

    Args:
        title: Above the column.
        name: Of the value, where it is not the title.
        show: Turns the value into text; by default it is shown as it is.
        whole: See `Column`.
    """
    return Column(title, lambda row: (show or _plain)(_value(row, name or title)), whole)


def lists(
    app: typer.Typer, columns: Sequence[Column], empty: str, *, name: str | None = None
) -> Callable[[Callable[..., Sequence[Row]]], Callable[..., None]]:
    """Make a command of a function that returns rows; see `command`.

    Args:
        app: The group it belongs to.
        columns: What people see of a row; `--json` prints all of it.
        empty: The sentence where there are none.
        name: The command's name, where it is not the function's.
    """

    def register(function: Callable[..., Sequence[Row]]) -> Callable[..., None]:
        @functools.wraps(function)
        def report(*arguments: Json, **options: Json) -> Report:
            return listed(function(*arguments, **options), columns, empty)

        return command(app, name)(report)

    return register


def listed(
    rows: Sequence[Row], columns: Sequence[Column], empty: str, more: Sequence[Mapping[str, Json]] | None = None
) -> Report:
    """Return the report of rows: a table, or a list of JSON objects.

    Args:
        rows: As the queue returns them.
        columns: What people see of a row.
        empty: The sentence where there are none.
        more: What each row has besides, for its columns and for JSON.
    """
    if more is None:
        return Report(rows, lambda: print_table(rows, columns, when_empty=empty))
    shown = [SimpleNamespace(**{**vars(row), **extra}) for row, extra in zip(rows, more, strict=True)]
    documents = [{**row.document, **extra} for row, extra in zip(rows, more, strict=True)]
    return Report(documents, lambda: print_table(shown, columns, when_empty=empty))


def print_table(rows: Sequence[Row], columns: Sequence[Column], *, when_empty: str) -> None:
    """Print rows as a table; a terminal's width is respected, a file or pipe gets every cell in full."""
    if not rows:
        typer.echo(when_empty)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for one in columns:
        # Rich narrows only columns that may wrap; their cells are told not to, so they are cut instead.
        table.add_column(Text(one.title, no_wrap=True), no_wrap=one.whole)
    for row in rows:
        cells = (one_line(_cell(column, row), _MOST_CELL_CHARS) for column in columns)
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    _print(table)


def print_facts(facts: Mapping[str, Json]) -> None:
    """Print names and values, one pair a line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(printable(_cut(_plain(value)))))
    _print(table)


def _cell(column: Column, row: Row) -> str:
    """Return a cell; a row that no command ever wrote may hold anything, and shows so in its place."""
    try:
        return column.value(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"unreadable: {type(error).__name__}"


def _value(row: Row, name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _cut(text: str) -> str:
    """Return the beginning of a very long text, and how much there is; `--json` prints all of it."""
    if len(text) <= _MOST_CHARS:
        return text
    return f"{text[:_MOST_CHARS]}… ({len(text):,} characters in all; --json prints them)"


def _print(table: Table) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_ENDLESS, color_system=None)
    console.print(table)
    sys.stdout.flush()


def _plain(value: Json) -> str:
    if value is None or value == "":
        return NOTHING
    if not isinstance(value, bool | int | float | list | dict):  # an id, a time, or what could not be read
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError) as error:
        return f"unreadable: {type(error).__name__}"
