"""Metadata that several definitions use."""

from typing import Any

import dagster as dg

from cogo_dagster.text import printable

_DIGITS = 3


def number(value: float) -> dg.MetadataValue[Any]:
    """Return a number that Dagster plots, rounded to three decimal places; integers stay integers."""
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    return dg.MetadataValue.float(round(float(value), _DIGITS))


def markdown_table(columns: list[str], rows: list[list[str]]) -> dg.MetadataValue[Any]:
    """Return a table as Markdown, in which the UI shows links.

    Args:
        columns: Titles.
        rows: Cells, which are Markdown: see `plain_cell` and `link_cell`.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def plain_cell(text: object, max_chars: int = 200) -> str:
    """Return a text as one line of Markdown without markup."""
    full = " ".join(printable(str(text)).split())
    shown = full if len(full) <= max_chars else f"{full[: max_chars - 1]}…"
    return "".join(f"\\{character}" if character in "\\|`*_[]<>~#" else character for character in shown)


def code_cell(text: object, max_chars: int = 200) -> str:
    """Return a text that may contain URLs, as code: the UI makes links of URLs, in which it shows escapes unchanged."""
    full = " ".join(printable(str(text)).split()).replace("`", "'")
    shown = full if len(full) <= max_chars else f"{full[: max_chars - 1]}…"
    return f"`{shown.replace('|', chr(92) + '|')}`" if shown else ""


def link_cell(text: object, url: str | None) -> str:
    """Return a link as Markdown; the text alone if there is no URL."""
    return f"[{plain_cell(text)}]({url})" if url else plain_cell(text)
