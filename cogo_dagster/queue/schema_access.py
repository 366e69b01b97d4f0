"""Generates the access statements of the schema: only service_role may use a table or function from its creation on.

The names are read from the SQL that creates the objects, so that none is left out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ;""",
    re.VERBOSE | re.DOTALL,
)
COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE: Final = re.compile(r"create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?public\.(\w+)\b", re.IGNORECASE)
_FUNCTION: Final = re.compile(
    r"create\s+(?:or\s+replace\s+)?function\s+(public|cogo_internal)\.(\w+)\s*\(", re.IGNORECASE
)
_ALTERED: Final = re.compile(r"alter\s+table\s+(?:if\s+exists\s+)?public\.(\w+)\b", re.IGNORECASE)
_SEQUENCE: Final = re.compile(r"\bas\s+identity\b|\b(?:big|small)?serial\b", re.IGNORECASE)
_CREATION: Final = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(?:unlogged\s+|foreign\s+|materialized\s+|recursive\s+)*"
    r"(?:table|view|sequence|function|procedure|aggregate)\b(?!\s+pg_temp\.)",
    re.IGNORECASE,
)
_DROPPED: Final = re.compile(r"\s*drop\s+function\s+if\s+exists\s+public\.", re.IGNORECASE)
_STRING: Final = re.compile(r"'(?:[^']|'')*'")
_WRITTEN: Final = re.compile(r"\ndo \$access\$ begin\n.*?\nend \$access\$;", re.DOTALL)

INTERNAL: Final = "cogo_internal"
"""The schema of functions that are called by other functions only; no API exposes it."""

OTHERS: Final = "public, anon, authenticated"
"""Roles whose privileges are revoked by name: revoking from public alone keeps what Supabase granted anon directly."""

_SEQUENCES: Final = f"""\
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from {OTHERS}; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.{{table}}'::regclass and d.deptype in ('a', 'i')), 'select');"""  # noqa: S608 - names from our own SQL


class UncoveredObject(ValueError):
    """The SQL creates an object that no access statement would cover; the message names the statement."""


@dataclass(frozen=True, slots=True)
class Created:
    """The objects that a script creates in the schemas public and cogo_internal.

    Attributes:
        functions: Of schema public, each with its argument types: `get_jobs(jsonb)`.
        internals: Functions of schema cogo_internal, in the same form.
        sequences_of: Existing tables that get a sequence.
        by_itself: Whether the statement creates objects under computed names and revokes their privileges itself.
    """

    tables: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    internals: tuple[str, ...] = ()
    sequences_of: tuple[str, ...] = ()
    by_itself: bool = False


def statements(script: str) -> Iterator[str]:
    """Split a script after each statement; joined, the parts are the script again."""
    begun = 0
    for token in _TOKEN.finditer(script):
        if token.group() == ";":
            yield script[begun : token.end()]
            begun = token.end()
    if begun < len(script):
        yield script[begun:]


def with_access(script: str) -> str:
    """Return the script with each creating statement followed by its access statements.

    Raises:
        UncoveredObject: It creates an object that they would not cover.
    """
    parts = []
    for statement in statements(without_access(script)):
        parts.append(statement)
        parts += [f"\n{block}" for block in _access(created(statement))]
    return "".join(parts)


def without_access(script: str) -> str:
    """Return the script without the statements added by `with_access`."""
    return _WRITTEN.sub("", script)


def created(statement: str) -> Created:
    """Return the objects that a statement creates.

    Raises:
        UncoveredObject: It creates an object other than a table in public or a function in public or cogo_internal, or
            one with a computed name.
    """
    code = COMMENT.sub(" ", statement).strip()
    creations = len(_CREATION.findall(code))
    if table := _TABLE.match(code):
        found = Created(tables=(table[1],))
    elif function := _FUNCTION.match(code):
        signature = f"{function[2]}({', '.join(_types(code[function.end() :]))})"
        internal = function[1].lower() == INTERNAL
        found = Created(internals=(signature,)) if internal else Created(functions=(signature,))
    elif (altered := _ALTERED.match(code)) and _SEQUENCE.search(code):
        found, creations = Created(sequences_of=(altered[1],)), creations + 1
    else:
        found = Created(by_itself=bool(creations))
        creations = min(creations, "revoke all on" in code)  # a DO block may create objects and revoke by itself
        if found.by_itself and not creations:
            raise UncoveredObject(f"The privileges of the object are not revoked: {_excerpt(code)}")
    if creations > 1:
        raise UncoveredObject(f"The statement creates more than one object: {_excerpt(code)}")
    return found


def everything_created(scripts: Iterable[str]) -> Created:
    """Return the sorted names of all tables and functions that the scripts create."""
    found = [created(statement) for script in scripts for statement in statements(without_access(script))]
    return Created(
        tables=tuple(sorted({name for objects in found for name in objects.tables})),
        functions=tuple(sorted({name for objects in found for name in objects.functions})),
        internals=tuple(sorted({name for objects in found for name in objects.internals})),
    )


def without_dropped_functions(script: str) -> tuple[str, list[str]]:
    """Separate the `drop function` statements from a script; return both."""
    dropped = []
    kept = []
    for statement in statements(script):
        code = COMMENT.sub("", statement)
        if _DROPPED.match(code):
            dropped.append(code.strip())
        else:
            kept.append(statement)
    return "".join(kept), dropped


def _types(declared: str) -> Iterator[str]:
    """Yield the argument types up to the closing parenthesis: `at timestamptz default now()` has type timestamptz."""
    depth, argument = 1, ""
    for character in _STRING.sub("''", declared):
        depth += (character in "([") - (character in ")]")
        if depth == 0 or (depth == 1 and character == ","):
            words = re.split(r"\s+default\s|\s*(?::=|=)", argument, maxsplit=1, flags=re.IGNORECASE)[0].split()
            if words:
                yield " ".join(words[1:])
            argument = ""
            if depth == 0:
                return
        else:
            argument += character


def _excerpt(code: str) -> str:
    return " ".join(code.split())[:100]


def _access(found: Created) -> Iterator[str]:
    yield from map(_table_access, found.tables)
    yield from map(_sequence_access, found.sequences_of)
    yield from (_function_access("public", signature) for signature in found.functions)
    yield from (_function_access(INTERNAL, signature) for signature in found.internals)


def _table_access(name: str) -> str:
    return f"""\
do $access$ begin
    revoke all on public.{name} from {OTHERS};
    grant select, insert, update, delete on public.{name} to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.{name}'::regclass) then
        alter table public.{name} enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = '{name}'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.{name} to service_role using (true) with check (true);
    end if;
{_SEQUENCES.format(table=name)}
end $access$;"""  # noqa: S608 - a name from our own SQL


def _sequence_access(table: str) -> str:
    return f"do $access$ begin\n{_SEQUENCES.format(table=table)}\nend $access$;"


def _function_access(schema: str, signature: str) -> str:
    return f"""\
do $access$ begin
    revoke all on function {schema}.{signature} from {OTHERS};
    grant execute on function {schema}.{signature} to service_role;
end $access$;"""
