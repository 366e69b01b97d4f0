"""Generates scripts over all tables and functions: privileges, locks of a migration, drops of replaced functions."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cogo_dagster.queue.schema_access import COMMENT, INTERNAL, OTHERS, Created

ROLES: Final = """\
do $roles$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- another session has created it
            end;
        end if;
    end loop;
end $roles$;

grant usage on schema public to service_role;
"""
"""Runs before the first access statement: Supabase has these roles, another Postgres may not."""

REPLACED: Final = "Replaced: dropped after the calls that began before."
"""The comment by which a migration marks a function that is no longer called once it is applied."""

_MARK_REPLACED: Final = """\
do $mark$
declare
    ours regprocedure;
begin
    for ours in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        where p.pronamespace = 'cogo_internal'::regnamespace and p.proname <> all (array[
NAMES
        ])
    loop
        execute format('comment on function %s is %L', ours, 'REPLACED');
    end loop;
end $mark$;
"""

_WRONG_RIGHTS: Final = """\
not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = ours)
            or (select coalesce(array_agg(p.polname::text), '{}') from pg_catalog.pg_policy p where p.polrelid = ours)
               <> array['service_role does all']"""

_GRANTS: Final = f"""\
-- Generated: run `uv run python -m docs.generate` after a change.
-- Applied last and after every change of a function: revokes all privileges, then grants them to service_role.
-- Revoked from public, anon and authenticated by name: from public alone leaves what Supabase granted anon directly.
-- Correct privileges are left unchanged: policies and row level security would lock a table exclusively.

ROLES

do $$
declare
    outsiders constant oid[] := array[0, 'anon'::regrole, 'authenticated'::regrole];
    table_name text;
    ours regclass;
    policy name;
    counter regclass;
begin
    foreach table_name in array array[
TABLES
    ] loop
        ours := to_regclass(format('public.%I', table_name));
        continue when ours is null;
        if exists (select from pg_catalog.pg_class c, aclexplode(c.relacl) a
                   where c.oid = ours and a.grantee = any (outsiders))
            or exists (select from pg_catalog.pg_attribute c, aclexplode(c.attacl) a
                       where c.attrelid = ours and a.grantee = any (outsiders)) then
            execute format('revoke all on %s from {OTHERS}', ours);
        end if;
        if not (select bool_and(has_table_privilege('service_role', ours, wanted))
                from unnest(array['select', 'insert', 'update', 'delete']) as wanted) then
            execute format('grant select, insert, update, delete on %s to service_role', ours);
        end if;
        for counter in
            select d.objid::regclass from pg_catalog.pg_depend d
            join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
            where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
              and d.refobjid = ours and d.deptype in ('a', 'i')
        loop
            execute format('revoke all on sequence %s from {OTHERS}', counter);
            execute format('grant usage on sequence %s to service_role', counter);
        end loop;
        continue when not ({_WRONG_RIGHTS});
        execute format('alter table %s enable row level security', ours);
        for policy in select p.polname from pg_catalog.pg_policy p where p.polrelid = ours loop
            execute format('drop policy %I on %s', policy, ours);
        end loop;
        execute format('create policy "service_role does all" on %s to service_role '
                       'using (true) with check (true)', ours);
    end loop;
end $$;

do $$
begin
    if to_regnamespace('{INTERNAL}') is null then
        return;
    end if;
    if has_schema_privilege('anon', '{INTERNAL}', 'usage, create')
        or has_schema_privilege('authenticated', '{INTERNAL}', 'usage, create') then
        revoke all on schema {INTERNAL} from {OTHERS};
    end if;
    if not has_schema_privilege('service_role', '{INTERNAL}', 'usage') then
        grant usage on schema {INTERNAL} to service_role;
    end if;
end $$;

do $$
declare
    ours regprocedure;
begin
    for ours in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname in ('public', '{INTERNAL}')
        where p.proname = any (array[
FUNCTIONS
        ]::text[])
    loop
        if has_function_privilege('anon', ours, 'execute')
            or has_function_privilege('authenticated', ours, 'execute') then
            execute format('revoke all on function %s from {OTHERS}', ours);
        end if;
        if not has_function_privilege('service_role', ours, 'execute') then
            execute format('grant execute on function %s to service_role', ours);
        end if;
    end loop;
end $$;

-- PostgREST reloads its cache of the schema; without one listening this does nothing.
notify pgrst, 'reload schema';
"""  # noqa: S608 - our own names

_LOCK: Final = f"""\
do $lock$
declare
    wanted constant regclass[] := array(
        select ours from (select to_regclass('public.' || name) as ours, name from unnest(array[
TABLES
        ]::text[]) as name) known
        where ours is not null and (name in (CHANGED)
            or {_WRONG_RIGHTS})
        order by name);
    ours regclass;
    ends_at timestamptz;
    left_ms integer;
    blockers text;
begin
    for attempt in 1 .. 20 loop
        begin
            ends_at := clock_timestamp() + interval '900 ms';  -- less than deadlock_timeout
            foreach ours in array wanted loop
                left_ms := greatest(1, extract(epoch from ends_at - clock_timestamp()) * 1000);
                perform set_config('lock_timeout', left_ms::text, true);
                execute format('lock table %s in access exclusive mode', ours);
            end loop;
            perform set_config('lock_timeout', '3s', true);
            return;
        exception when lock_not_available or deadlock_detected then
            null;  -- the locks are released, so that other sessions continue
        end;
        perform pg_sleep(0.5 + random());
    end loop;
    select string_agg(distinct format('process %s holds %s (%s)', l.pid, l.relation::regclass, a.state), ', ')
    into blockers
    from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
    where l.granted and l.relation = any (wanted) and l.pid <> pg_backend_pid();
    raise exception using errcode = '55006',
        message = format('Tables were in use for half a minute: %s.', coalesce(blockers, 'many sessions in turn')),
        hint = 'End that transaction, for example with pg_terminate_backend, and run this again.';
end $lock$;
"""  # noqa: S608 - our own names


_DROP_REPLACED: Final = f"""\
do $replaced$
declare
    replaced constant regprocedure[] := array(
        select p.oid::regprocedure from pg_catalog.pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'cogo_internal'::regnamespace)
          and obj_description(p.oid, 'pg_proc') = '{REPLACED}');
    ends_at constant timestamptz := clock_timestamp() + interval '10 seconds';
    older text[];
    old_function regprocedure;
begin
    if replaced = '{{}}' or not pg_try_advisory_xact_lock(KEY) then
        return;
    end if;
    older := array(select l.virtualtransaction from pg_catalog.pg_locks l
                   join pg_catalog.pg_stat_activity a on a.pid = l.pid and a.datname = current_database()
                   where l.locktype = 'virtualxid' and l.granted and l.pid <> pg_backend_pid());
    while exists (select from pg_catalog.pg_locks l
                  where l.locktype = 'virtualxid' and l.granted and l.virtualtransaction = any (older)) loop
        if clock_timestamp() > ends_at then
            raise warning 'A long transaction may still call replaced functions: run this again later to drop them.';
            return;
        end if;
        perform pg_sleep(0.02);
    end loop;
    foreach old_function in array replaced loop
        begin
            execute format('drop function if exists %s', old_function);
        exception when dependent_objects_still_exist then
            raise warning '% was not dropped: other objects depend on it.', old_function;
        end;
    end loop;
    notify pgrst, 'reload schema';
end $replaced$;
"""  # noqa: S608 - our own names


def grants_script(ours: Created) -> str:
    """Return the script that corrects the privileges of all tables and functions.

    Correct privileges are neither changed nor locked. Objects that do not exist yet are skipped.
    """
    names = sorted(signature.partition("(")[0] for signature in (*ours.functions, *ours.internals))
    return (
        _GRANTS.replace("ROLES\n", ROLES)
        .replace("TABLES", _listed(ours.tables))
        .replace("FUNCTIONS", _listed(names, 12))
    )


def lock_script(touched: Mapping[str, Iterable[str]], ours: Created, *, recorded: bool) -> str:
    """Return the statement that locks the tables a migration changes, in one order, before any change.

    It also locks tables whose privileges `grants_script` has to correct. After a second it releases its locks, before
    sessions that wait for them start deadlock detection, and retries. Raises 55006 with the blocking sessions.

    Args:
        touched: The tables that each migration changes, by version.
        ours: All tables.
        recorded: Skip the versions recorded in supabase_migrations.schema_migrations.
    """
    pairs = [f"('{version}', '{name}')" for version, names in touched.items() for name in names]
    applied = "where version not in (select m.version from supabase_migrations.schema_migrations m)" if recorded else ""
    changed = f"select name from (values {', '.join(pairs)}) t (version, name) {applied}"  # noqa: S608 - our own names
    return _LOCK.replace("TABLES", _listed(ours.tables)).replace("CHANGED", changed if pairs else "null")


def mark_script(internals: Iterable[str]) -> str:
    """Return the statement that marks every function of schema cogo_internal but these as replaced.

    The arguments of an internal function never change, since `comment on function` names it without them: a function
    with other arguments gets another name.

    Args:
        internals: The functions of this release, as `Created.internals` has them.
    """
    names = sorted({signature.partition("(")[0] for signature in internals})
    return _MARK_REPLACED.replace("NAMES", _listed(names)).replace("REPLACED", REPLACED)


def drop_script(lock_key: int) -> str:
    """Return the statement that drops the functions that a migration marked as replaced.

    It must run in a separate transaction after the migration's. It waits at most ten seconds for transactions in
    progress, which may still call the old functions; after that the functions stay.

    Args:
        lock_key: Key of an advisory lock, so that one session at a time drops them.
    """
    return _DROP_REPLACED.replace("KEY", str(lock_key))


def guarded(version: str, name: str, statements: str) -> str:
    """Return the statement that applies and records a migration, unless it is recorded."""
    tag = f"$migration_{version}$"
    return (
        f"do $guard$ begin\n"
        f"if not exists (select from supabase_migrations.schema_migrations where version = '{version}') then\n"
        f"execute {tag}{statements}{tag};\n"
        f"insert into supabase_migrations.schema_migrations (version, name) values ('{version}', '{name}');\n"
        f"end if;\nend $guard$;"
    )


def mentioned(script: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the table names that occur in a script."""
    words = set(re.findall(r"\w+", COMMENT.sub(" ", script)))
    return tuple(name for name in names if name in words)


def _listed(names: Iterable[str], indent: int = 8) -> str:
    return ",\n".join(f"{' ' * indent}'{name}'" for name in names)
