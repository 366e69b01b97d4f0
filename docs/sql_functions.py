# ruff: noqa: INP001 - docs is a folder of pages, not a package
"""Reads sql/functions: what each file declares, and the catalogue in Python that follows from it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogo_dagster.queue.migrate import sql_folder
from cogo_dagster.queue.schema_access import INTERNAL

_COMMA: Final = re.compile(r",(?=(?:[^']*'[^']*')*[^']*$)")
"""Between arguments, not within the text of a default."""

_INTERNAL: Final = "Internal: other functions call it."

IN_PUBLIC: Final = {"error_fingerprint": "the generated column jobs_dlq.fingerprint depends on it"}
"""Internal functions that are not in schema cogo_internal, with the reason."""

_LINE: Final = 120

_CATALOGUE: Final = '''"""The catalogue of the SQL functions: names, argument names and their SQL types.

Generated from sql/functions: run `uv run python -m docs.generate` after a change there.
"""

from collections.abc import Mapping

FUNCTIONS: Mapping[str, Mapping[str, str]] = {{
{entries}
}}
'''


@dataclass(frozen=True, slots=True)
class SqlFunction:
    """One file of sql/functions.

    Attributes:
        header: The comment at the top of the file.
        arguments: Each as it is declared: `max_jobs integer default 50`.
        raises: The codes that its header names.
        is_internal: Only other functions call it; its header says so.
    """

    name: str
    header: str
    arguments: tuple[str, ...]
    returns: str

    @property
    def is_internal(self) -> bool:
        """Whether only other functions call it."""
        return self.header.endswith(_INTERNAL)

    @property
    def raises(self) -> tuple[str, ...]:
        """The codes of our own class that the header names."""
        return tuple(sorted(set(re.findall(r"CQ\d{3}", self.header))))


def functions() -> list[SqlFunction]:
    """Read every file of sql/functions."""
    return [_read_function(path) for path in sorted((sql_folder() / "functions").glob("*.sql"))]


def catalogue() -> str:
    """Return the module that names the functions which clients may call, with the types of their arguments."""
    lines = []
    for function in functions():
        if not function.is_internal:
            arguments = [f'"{name}": "{kind}"' for name, kind in map(_argument, function.arguments)]
            line = f'    "{function.name}": {{{", ".join(arguments)}}},'
            inside = "".join(f"        {argument},\n" for argument in arguments)
            lines.append(line if len(line) <= _LINE else f'    "{function.name}": {{\n{inside}    }},')
    return _CATALOGUE.format(entries="\n".join(lines))


def signature(function: SqlFunction) -> str:
    """Return a function's name, arguments and result as its page shows them."""
    if len(function.arguments) < 2:
        return f"{function.name}({''.join(function.arguments)}) returns {function.returns}"
    inside = ",\n".join(f"    {' '.join(argument.split())}" for argument in function.arguments)
    return f"{function.name}(\n{inside}\n) returns {function.returns}"


def _argument(declared: str) -> tuple[str, str]:
    """Return the name of an argument and its type, as PostgreSQL writes it."""
    name, _, kind = declared.partition(" default ")[0].partition(" ")
    return name, {"timestamptz": "timestamp with time zone"}.get(kind.strip(), kind.strip())


def _read_function(path: Path) -> SqlFunction:
    text = path.read_text(encoding="utf-8")
    comment = re.match(r"/\*\n(.*?)\n \*/", text, re.DOTALL)
    declared = re.search(r"create or replace function (\w+)\.(\w+)\((.*?)\)\s+returns (\S+)", text, re.DOTALL)
    if comment is None or declared is None or declared[2] != path.stem:
        raise ValueError(f"{path.name} needs a comment at its top and the function that its name promises.")
    header = "\n".join(line.removeprefix(" *").removeprefix(" ") for line in comment[1].splitlines())
    arguments = tuple(part.strip() for part in _COMMA.split(declared[3].replace("\n", " ")) if part.strip())
    function = SqlFunction(declared[2], header, arguments, declared[4])
    schema = INTERNAL if function.is_internal and function.name not in IN_PUBLIC else "public"
    if declared[1] != schema:
        raise ValueError(f"{path.name} has to create its function in schema {schema}, as its header says.")
    return function
