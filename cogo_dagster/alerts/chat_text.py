"""Converts Markdown to the markup of Slack and Google Chat: `*bold*` and code blocks, no headings or tables."""

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

QUOTES: Final = "'''"
"""Replaces three backticks inside a code block, which would end the block."""


def chat_text(markdown: str, escape: Callable[[str], str], link: Callable[[str, str], str]) -> str:
    """Return the text of a chat message.

    Args:
        markdown: Headings become bold lines, tables code blocks, `**bold**` `*bold*`.
        escape: Escapes the chat's control characters.
        link: Formats a title and a URL as a link.
    """
    return "\n".join(_blocks(markdown, escape, link))


def _blocks(markdown: str, escape: Callable[[str], str], link: Callable[[str, str], str]) -> Iterator[str]:
    for table, lines in groupby(markdown.splitlines(), key=lambda line: line.lstrip().startswith("|")):
        if table:
            yield "```\n" + "\n".join(_table([_cells(line) for line in lines], escape)) + "\n```"
        else:
            for line in lines:
                yield _line(line, escape, link)


def _line(line: str, escape: Callable[[str], str], link: Callable[[str, str], str]) -> str:
    heading = re.fullmatch(r"#{1,6}\s+(.+)", line)
    if heading:
        return f"*{escape(_unescaped(heading[1]).replace('*', ''))}*"
    pieces = re.split(r"(!?\[[^\]]*\]\([^)\s]+\))", line)
    return "".join(_piece(piece, escape, link) for piece in pieces)


def _piece(piece: str, escape: Callable[[str], str], link: Callable[[str, str], str]) -> str:
    match = re.fullmatch(r"!?\[([^\]]*)\]\(([^)\s]+)\)", piece)
    if match:
        return link(match[1] or "link", match[2])
    return _unescaped(re.sub(r"(?<!\\)\*\*(.+?)(?<!\\)\*\*", r"*\1*", escape(piece)))


def _cells(line: str) -> list[str]:
    return [_unescaped(cell.strip().replace("**", "")) for cell in re.split(r"(?<!\\)\|", line.strip()[1:].rstrip("|"))]


def _table(rows: list[list[str]], escape: Callable[[str], str]) -> Iterator[str]:
    shown = [row for row in rows if not all(re.fullmatch(r":?-{2,}:?", cell) for cell in row)]
    columns = max((len(row) for row in shown), default=0)
    widths = [max(len(row[at]) if at < len(row) else 0 for row in shown) for at in range(columns)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield escape("  ".join(cells).rstrip().replace("```", "'''"))


def _unescaped(text: str) -> str:
    """Remove Markdown's backslash escapes, which chats would show."""
    return re.sub(r"\\([\\|`*_\[\]<>~#])", r"\1", text)
