"""The messages in the troubleshooting tables are those of the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cogo_dagster.settings import PROJECT_ROOT

TABLES = {
    "docs/operations.md": ("### Settings: exit code 2", "### Why a job failed"),
    "docs/supabase.md": ("## Troubleshooting", "## Continuous integration"),
}


@cache
def messages() -> tuple[str, ...]:
    """Return every string of the package, with `…` for each computed part, and the SQL."""
    modules = [path.read_text("utf-8") for path in (PROJECT_ROOT / "cogo_dagster").rglob("*.py")]
    scripts = [path.read_text("utf-8") for path in (PROJECT_ROOT / "sql").rglob("*.sql")]
    return (*(text for module in modules for text in strings(module)), *scripts)


def strings(source: str) -> Iterator[str]:
    """Yield the strings of a module, also those inside of calls and f-strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


def listed(page: str) -> list[str]:
    """Return the messages of the first column; alternatives are separated by semicolons."""
    begin, end = TABLES[page]
    section = (PROJECT_ROOT / page).read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")]
    cells = [cell for cell in cells if not cell.startswith(("message", "the message"))]
    return [re.sub(r" \(.*\)$", "", alternative).strip("`") for cell in cells for alternative in cell.split("; ")]


def is_message(text: str) -> bool:
    """Whether all parts of a listed message occur in one string, in order."""
    pattern = ".*".join(re.escape(part.strip(" :`")) for part in text.split("…"))
    return any(re.search(pattern, message, re.DOTALL) for message in messages())


@pytest.mark.parametrize("page", TABLES)
def test_each_listed_message_is_one_of_the_code(page: str) -> None:
    """A reworded message is reworded in the table too."""
    found = listed(page)
    assert len(found) >= 10
    assert [message for message in found if not is_message(message)] == []


def test_a_message_is_compared_in_order_and_with_its_computed_parts() -> None:
    """Parts of different strings do not make a message."""
    assert next(strings('f"The file {name} is {size:.1f} MB."')) == "The file … is … MB."
    assert is_message("The database has no COGO schema")
    assert not is_message("The database has no … whatsoever")


def test_the_tables_are_found() -> None:
    """Each page has the sections that are read."""
    for page, (begin, end) in TABLES.items():
        text = Path(PROJECT_ROOT / page).read_text(encoding="utf-8")
        assert -1 < text.find(begin) < text.find(end)
