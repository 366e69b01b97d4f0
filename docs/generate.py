# ruff: noqa: INP001 - docs is a folder of pages, not a package
"""Generate docs/reference and other files that repeat what the code says.

    uv run python -m docs.generate

`cogo_dagster_tests/test_docs.py` fails when a generated file is out of date.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from cogo_dagster.cli.app import COMMANDS, load
from cogo_dagster.cli.command import EXIT_CODES
from cogo_dagster.queue import errors
from cogo_dagster.queue.migrate import grants, sql_folder
from cogo_dagster.queue.schema_access import with_access
from cogo_dagster.queue.search.qualifiers import ALIASES, EXAMPLES, QUALIFIERS
from cogo_dagster.settings import PROJECT_ROOT, Settings
from docs.api_pages import http_lines, python_lines
from docs.sql_functions import catalogue, functions, signature

FOLDER: Final = PROJECT_ROOT / "docs" / "reference"

SQLSTATES: Final = ("CQ001", "CQ002", "CQ003", "CQ004", "CQ005")

_WITHOUT_COMMENT: Final = {
    "SUPABASE_ANON_KEY": "Sent as `Authorization: Bearer …` to the edge functions.",
    "SUPABASE_SERVICE_ROLE_KEY": "Goes with SUPABASE_URL.",
    "HEADLESS": "false: show the browser's window, which needs a display.",
}
"""Meanings of settings that .env.example has no comment for."""

_NOTE: Final = "<!-- Generated: run `uv run python -m docs.generate` after a change. -->"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of .env.example with the comment above it."""

    name: str
    section: str
    meaning: str


def pages() -> dict[Path, str]:
    """Return every generated page by its path."""
    return {
        FOLDER / "settings.md": settings_page(),
        FOLDER / "commands.md": commands_page(),
        FOLDER / "sql-functions.md": functions_page(),
        FOLDER / "errors.md": errors_page(),
        FOLDER / "filters.md": filters_page(),
        FOLDER / "python-api.md": python_api_page(),
        FOLDER / "http-api.md": http_api_page(),
    }


def settings_page() -> str:
    """Return the page of settings: names and comments of .env.example, limits and defaults of the code."""
    fields = {field.alias or name: field for name, field in Settings.model_fields.items()}
    lines = _head(
        "Settings",
        "Environment variables, read once at start. Variables that are not set are read from `.env` in the current "
        "folder or, if there is none, in the project.",
        "An empty value counts as not set.",
        "If a value is invalid, the program exits with a message that names the setting.",
    )
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            lines += ["", f"## {section}", "", "| name | takes | default | meaning |", "|---|---|---|---|"]
        field = fields[setting.name]
        lines.append(_row(f"`{setting.name}`", _takes(field), _default(setting.name, field), setting.meaning))
    return _page(lines)


def commands_page() -> str:
    """Return the page of commands, from their `--help`."""
    lines = _head(
        "Commands",
        "Every command prints tables, or one JSON document with `--json`, on standard output; logs and errors go to "
        "standard error.",
        "Colons are accepted instead of spaces: `cogo list:jobs` is `cogo list jobs`.",
        EXIT_CODES,
    )
    for words, command in commands().items():
        options = [parameter for parameter in command.params if parameter.name != "help"]
        arguments = [parameter.name.upper() for parameter in options if parameter.param_type_name == "argument"]
        usage = " ".join(["cogo", words, *arguments, "[OPTIONS]"])
        lines += ["", f"## cogo {words}", "", f"`{usage}`", "", _one_line(command.help)]
        lines += ["", "| option | takes | default | meaning |", "|---|---|---|---|"]
        lines += [_option_row(parameter) for parameter in options]
    return _page(lines)


def functions_page() -> str:
    """Return the page of SQL functions: the operations, then the helpers that they call."""
    lines = _head(
        "SQL functions",
        "The engine of the queue.",
        "Any client with the rights of `service_role` may call the operations by name. Arguments are scalars or "
        "`jsonb`, and each function returns one `jsonb` document.",
        "Operations are in schema `public`. Helpers are in schema `cogo_internal`, which no API exposes. The source of "
        "each function is `sql/functions/<name>.sql`.",
        "[Errors](errors.md) explains the error codes.",
    )
    helpers = [function for function in functions() if function.is_internal]
    for title, group in (
        ("Operations", [function for function in functions() if not function.is_internal]),
        ("Helpers", helpers),
    ):
        lines += ["", f"## {title}"]
        for function in group:
            lines += ["", f"### {function.name}", "", "```sql", signature(function), "```", ""]
            lines += ["```text", function.header, "```"]
    return _page(lines)


def filters_page() -> str:
    """Return the page of the filter language: its qualifiers, from the module that parses them."""
    lines = _head(
        "Filters of jobs",
        "One language for reading and acting: the search field of the dashboard, `GET /api/jobs?where=…`, "
        "`POST /api/actions`, and `--where` of `cogo list jobs`, `cogo retry failed`, `cogo replay dlq`, "
        "`cogo discard dlq` and `cogo cancel jobs`.",
        "A filter is a list of `qualifier:value` and free text; all of them must hold.",
        "Commas separate values, any of which matches; a value with spaces, commas or quotes is written in quotes, and "
        "its own quotes are doubled.",
        "A hyphen in front, as in `-type:gate`, means none of the values.",
        "Days begin at midnight UTC.",
        "Other text is searched in the ID, the idempotency key, the message of the error and the payload; text in "
        "quotes is never read as a qualifier.",
        "A misspelt qualifier is rejected with the nearest one.",
    )
    lines += ["", "| qualifier | meaning | `-` | values |", "|---|---|---|---|"]
    for qualifier in QUALIFIERS.values():
        name = f"{qualifier.name}.KEY" if qualifier.kind == "payload" else qualifier.name
        values = ", ".join(f"`{value}`" for value in qualifier.values)
        lines.append(_row(f"`{name}:`", qualifier.meaning, "yes" if qualifier.negatable else "", values))
    aliases = ", ".join(f"`{old}:` is `{new}:`" for old, new in ALIASES.items())
    lines += ["", f"Former names that still work: {aliases}.", "", "## Examples", "", "| filter | finds |", "|---|---|"]
    lines += [_row(f"`{example}`", meaning) for example, meaning in EXAMPLES.items()]
    return _page(lines)


def errors_page() -> str:
    """Return the page of errors: the codes of the engine, and the classes of the client."""
    lines = _head(
        "Errors",
        "The engine raises SQLSTATEs of its own class, and the client maps each to an exception.",
        "Errors are distinguished by code, not by message.",
        "Batch operations (`settle_jobs`, `renew_leases`) do not raise for a single invalid item: they return a status "
        "per item.",
    )
    lines += ["", "## Codes of the engine", "", "| SQLSTATE | exception | meaning | raised by |", "|---|---|---|---|"]
    for code in SQLSTATES:
        kind = type(errors.error_from_sqlstate(code, ""))
        callers = ", ".join(f"`{f.name}`" for f in functions() if code in f.raises and not f.is_internal)
        lines.append(f"| {code} | `{kind.__name__}` | {_first_line(kind)} | {callers} |")
    tree = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")[2].partition("\n\n")[0]
    lines += ["", "## Exceptions of the client", "", "```text", tree, "```", ""]
    lines += ["| exception | meaning |", "|---|---|"]
    lines += [f"| `{kind.__name__}` | {_first_line(kind)} |" for kind in _error_classes()]
    lines += ["", "## Other errors", ""]
    lines += [
        "An error that is not in this table becomes a `TransportError`, and the call is repeated on a new connection.",
        "A code covers all codes that begin with it, unless a longer one is listed.",
        "",
    ]
    lines += ["| code | exception | after |", "|---|---|---|"]
    lines += [_rule_row(code, rule) for code, rule in errors.TABLE.items() if code not in SQLSTATES]
    lines += ["", "## Exit codes of the commands", "", "| code | meaning |", "|---|---|"]
    lines += [_row(code, meaning) for code, meaning in re.findall(r"(\d+) ([^,.]+)", EXIT_CODES)]
    return _page(lines)


def python_api_page() -> str:
    """Return the page of the names that other packages may import."""
    lines = _head(
        "Python API",
        "`cogo_dagster.__all__`: the names that other packages may import. All are typed.",
        "Everything else may change without notice.",
        "`cogo_dagster.testing` has `run_job` for the tests of executors; [Write an executor](../executors.md) has an "
        "example.",
    )
    return _page([*lines, *python_lines()])


def http_api_page() -> str:
    """Return the page of the HTTP API's operations."""
    lines = _head(
        "HTTP API",
        "The API of `cogo web`, from its OpenAPI document (`/api/openapi.json`).",
        "Requests are authenticated by the header `x-admin-token`; [access control]"
        "(../operations.md#access-control) lists which role may call what.",
    )
    return _page([*lines, *http_lines()])


def settings() -> list[Setting]:
    """Read .env.example: sections, comments, names."""
    found: list[Setting] = []
    section = ""
    comment: list[str] = []
    for line in (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        title = re.fullmatch(r"# --- (.+?) -+", line)
        name = re.match(r"([A-Z_]+)=", line)
        if title:
            section, comment = title[1], []
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))
        elif name:
            found.append(Setting(name[1], section, " ".join(comment) or _WITHOUT_COMMENT[name[1]]))
            comment = []
    return found


@cache
def commands() -> Mapping[str, Any]:
    """Return every command by its words: `list jobs`, `worker`."""
    return dict(leaf for name in COMMANDS for leaf in _leaves(load(name), (name,)))


def modules() -> dict[Path, str]:
    """Return every generated module by its path."""
    return {PROJECT_ROOT / "cogo_dagster" / "queue" / "functions.py": catalogue()}


def access_statements() -> dict[Path, str]:
    """Return the SQL files with access statements, and their contents."""
    migrations = sorted((sql_folder() / "migrations").glob("*.sql"))
    files = {path: with_access(path.read_text(encoding="utf-8")) for path in migrations}
    return {**files, sql_folder() / "grants.sql": grants()}


def main() -> None:
    """Write the pages, the modules, and the access statements of the SQL files."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in {**pages(), **modules(), **access_statements()}.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"Wrote {path.relative_to(PROJECT_ROOT)}.\n")


def _head(title: str, *sentences: str) -> list[str]:
    return [_NOTE, "", f"# {title}", "", *sentences]


def _page(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _takes(field: FieldInfo) -> str:
    kind = str(field.annotation)
    bounds = {type(one).__name__: one for one in field.metadata}
    least, most = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Le"), "le", None)
    limits = f" {least:,} to {most:,}" if most is not None else f" from {least:,}" if least is not None else ""
    names = {"int": "whole number", "float": "number", "bool": "true or false", "Path": "folder", "SecretStr": "secret"}
    if "Literal" in kind:
        return "one of " + ", ".join(re.findall(r"'(\w+)'", kind))
    if "tuple" in kind:
        return "list, comma separated"
    return next((text for name, text in names.items() if re.search(rf"\b{name}\b", kind)), "text") + limits


def _default(name: str, field: FieldInfo) -> str:
    if name == "COGO_HOME":
        return "`.cogo` in the project; `~/.cogo` without a checkout"
    if name == "COGO_CONCURRENCY":
        return "by cores and memory"
    if field.default_factory is not None:
        return "the host's name"
    value = field.default
    if value in (None, ()):
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    nested: Mapping[str, Any] | None = getattr(command, "commands", None)
    if nested is None:
        yield " ".join(words), command
        return
    for name, one in nested.items():
        yield from _leaves(one, (*words, name))


def _option_row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    flag = getattr(parameter, "is_flag", False)
    names = parameter.name.upper() if argument else ", ".join(f"`{word}`" for word in parameter.opts)
    takes = "" if flag else parameter.metavar or _kind(parameter.type_descriptor)
    default = "" if flag or parameter.default is None else f"`{parameter.default}`"
    variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or ()
    also = " or ".join(f"`{variable}`" for variable in variables)
    meaning = _one_line(parameter.help) + (f" Also {also}." if also else "")
    return _row(names, takes, default, meaning)


def _kind(descriptor: Any) -> str:
    """Return the limits of an option's value, or its type if it has no limits."""
    annotation, info = descriptor.annotation, descriptor.parameter_info
    if get_origin(annotation) is Literal:
        return ", ".join(str(value) for value in get_args(annotation))
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return ", ".join(str(one.value) for one in annotation)
    if info.max is not None:
        return f"{info.min:,} to {info.max:,}"
    if info.min is not None:
        return f"from {info.min:,}"
    words = {"Path": "path", "UUID": "uuid", "int": "whole number", "float": "number"}
    if annotation == list[str]:
        return "text, repeatable"
    return words.get(annotation.__name__, "text")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _error_classes() -> list[type[errors.QueueError]]:
    found = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.QueueError)]
    return sorted(found, key=lambda one: inspect.getsourcelines(one)[1])


def _rule_row(code: str, rule: errors.Rule) -> str:
    tries = "1 try" if rule.tries == 1 else f"up to {rule.tries} tries"
    kind = f"`{rule.kind.__name__}`" + (f", `{rule.repeated.__name__}` if it repeats" if rule.repeated else "")
    return f"| `{code}` | {kind} | {tries} |"


def _first_line(kind: type) -> str:
    return _one_line(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    main()
