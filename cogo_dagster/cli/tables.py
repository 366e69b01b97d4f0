"""Text tables: fitted to the width of a terminal, or complete in a file or pipe.

On a terminal, statuses are in color. A narrow one shows only the last digits of IDs, and leaves out columns that need
more space. One that is too narrow for the remaining columns shows each row as lines of names and values.
"""

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

SHORT_ID_CHARS: Final = 8
_UUID_CHARS: Final = 36
_WIDE: Final = 100
"""Columns of a terminal from which IDs are shown completely."""

_STYLES: Final = {
    **dict.fromkeys(("succeeded", "alive", "ready", "pass", "delivered"), "green"),
    **dict.fromkeys(("failed", "lost", "silent", "fail", "firing", "dead"), "red"),
    **dict.fromkeys(("running", "claimed"), "cyan"),
    **dict.fromkeys(("queued", "pending", "requeued", "snoozed", "retried"), "yellow"),
    **dict.fromkeys(("cancelled", "stopped", "expired", "orphaned", "resolved"), "dim"),
}
"""Colors of statuses and outcomes on a terminal."""

_MIN_CELL: Final = 12
"""Characters of a shortened cell that must remain."""

_UNLIMITED_WIDTH: Final = 100_000
_MAX_CHARS: Final = 64_000
_MAX_CELL_CHARS: Final = 3_000  # longer than any error; all lines are as long as the widest cell


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        value: Returns the text of the cell of a row.
        whole: Whether cells are never shortened; the cells of other columns are, on a narrow terminal.
        min_width: Width of a terminal from which the column is shown.
        is_id: Whether a narrow terminal shows only the last digits of the cells, which every command accepts.
        is_status: Whether a terminal shows the cells in the color of their status.
    """

    title: str
    value: Callable[[Row], str]
    whole: bool = False
    min_width: int = 0
    is_id: bool = False
    is_status: bool = False


def column(
    title: str,
    name: str | None = None,
    show: Callable[[Any], str] | None = None,
    *,
    whole: bool = False,
    min_width: int = 0,
    is_id: bool = False,
    is_status: bool = False,
) -> Column:
    """Return a column that shows one attribute or key of a row.

    Args:
        title: Header of the column.
        name: Name of the attribute or key; the title by default.
        show: Formats the value; by default as JSON.
        whole, min_width, is_id, is_status: See `Column`.
    """

    def value(row: Row) -> str:
        return (show or _plain)(_value(row, name or title))

    return Column(title, value, whole, min_width, is_id, is_status)


def lists(
    app: typer.Typer, columns: Sequence[Column], empty: str, *, name: str | None = None
) -> Callable[[Callable[..., Sequence[Row]]], Callable[..., None]]:
    """Return a decorator that makes a command of a function that returns rows; see `command`.

    Args:
        app: Group of the command.
        columns: Columns of the table; `--json` prints complete rows.
        empty: Message if there are no rows.
        name: Name of the command; that of the function by default.
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
        rows: Rows of the queue.
        columns: Columns of the table.
        empty: Message if there are no rows.
        more: Additional values of each row, for the columns and for JSON.
    """
    if more is None:
        return Report(rows, lambda: print_table(rows, columns, when_empty=empty))
    shown = [SimpleNamespace(**{**vars(row), **extra}) for row, extra in zip(rows, more, strict=True)]
    documents = [{**row.document, **extra} for row, extra in zip(rows, more, strict=True)]
    return Report(documents, lambda: print_table(shown, columns, when_empty=empty))


def print_table(rows: Sequence[Row], columns: Sequence[Column], *, when_empty: str) -> None:
    """Print rows as a table; cells are shortened to fit a terminal, not in a file or pipe."""
    if not rows:
        typer.echo(when_empty)
        return
    console = _console()
    fitting = [column for column in columns if not console.is_terminal or column.min_width <= console.width]
    cells = [[_shown(column, row, console) for column in fitting] for row in rows]
    if console.is_terminal and _needed_width(fitting, cells) > console.width:
        _print_records(fitting, cells)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for shown in fitting:
        # Rich narrows only columns that may wrap. The cells do not wrap, so they are truncated.
        table.add_column(Text(shown.title, no_wrap=True), no_wrap=shown.whole or shown.is_id)
    for line in cells:
        table.add_row(*line)
    print_fitted(table)


def _needed_width(columns: Sequence[Column], cells: Sequence[Sequence[Text]]) -> int:
    """Return the width in which every whole cell fits, and at least the beginning of every other cell."""
    widths = [max(len(column.title), *(line[at].cell_len for line in cells)) for at, column in enumerate(columns)]
    needed = [
        width if column.whole or column.is_id else min(width, max(_MIN_CELL, len(column.title)))
        for column, width in zip(columns, widths, strict=True)
    ]
    return sum(needed) + len(columns) - 1


def _print_records(columns: Sequence[Column], cells: Sequence[Sequence[Text]]) -> None:
    """Print each row as names and values, one pair per line, with an empty line between rows."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for number, line in enumerate(cells):
        if number:
            table.add_row("", "")
        for column, cell in zip(columns, line, strict=True):
            table.add_row(column.title, Text(cell.plain, style=cell.style))
    print_fitted(table)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None for a file or a pipe."""
    console = _console()
    return console.width if console.is_terminal else None


def status_style(status: str) -> str:
    """Return the style in which a terminal shows a status of a job, an attempt, a worker or an alert."""
    return _STYLES.get(status.partition(" ")[0], "")


def print_facts(facts: Mapping[str, Json]) -> None:
    """Print names and values, one pair per line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(printable(_cut(_plain(value)))))
    print_fitted(table)


def _shown(column: Column, row: Row, console: Console) -> Text:
    cell = one_line(_cell(column, row), _MAX_CELL_CHARS)
    if column.is_id and console.is_terminal and console.width < _WIDE and len(cell) == _UUID_CHARS:
        cell = cell[-SHORT_ID_CHARS:]
    return Text(cell, no_wrap=True, overflow="ellipsis", style=status_style(cell) if column.is_status else "")


def _cell(column: Column, row: Row) -> str:
    """Return the text of a cell, or the error if the row has an invalid value, as rows written by hand may have."""
    try:
        return column.value(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"unreadable: {type(error).__name__}"


def _value(row: Row, name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _cut(text: str) -> str:
    """Return a text, truncated with a note of its length if it is too long."""
    if len(text) <= _MAX_CHARS:
        return text
    return f"{text[:_MAX_CHARS]}… ({len(text):,} characters; use --json for the whole text)"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNLIMITED_WIDTH, color_system=None)


def print_fitted(table: Table) -> None:
    """Print a table: wrapped to the width of a terminal, with one line per row in a file or pipe, and not padded there.

    Rich pads each line to the width of the table.
    """
    console = _console()
    if console.is_terminal:
        console.print(table)
    else:
        with console.capture() as captured:
            console.print(table)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().removesuffix("\n").split("\n")))
    sys.stdout.flush()


def _plain(value: Json) -> str:
    if value is None or value == "":
        return NOTHING
    if not isinstance(value, bool | int | float | list | dict):  # an ID, a time, or an unreadable value
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError) as error:
        return f"unreadable: {type(error).__name__}"
