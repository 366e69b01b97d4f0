"""The rights of anon and authenticated in a database, and a project whose default privileges grant them everything."""

from typing import Final

from psycopg.errors import Diagnostic

from cogo_dagster_tests.conftest import Owner

OWNER: Final = "project_owner"
"""The owner of the project's database, without superuser and BYPASSRLS, as `postgres` on Supabase."""

PROJECT: Final = """
do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role', 'project_owner'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
    execute format('alter database %I owner to project_owner', current_database());
end $$;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges for role project_owner in schema public
    grant all on sequences to anon, authenticated, service_role;
"""

_RIGHTS: Final = """
select format('%s may %s %s', role, wanted, object) from unnest(array['anon', 'authenticated']) as role, (
    select oid::regclass::text as object, oid, unnest(array['select', 'insert', 'update', 'references']) as wanted,
           'column' as kind
    from pg_class where relkind in ('r', 'v', 'm', 'p', 'f') and relnamespace = 'public'::regnamespace
    union all
    select oid::regclass::text, oid, unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references',
                                                  'trigger']), 'table'
    from pg_class where relkind in ('r', 'v', 'm', 'p', 'f') and relnamespace = 'public'::regnamespace
    union all
    select oid::regclass::text, oid, unnest(array['usage', 'select', 'update']), 'sequence'
    from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace
    union all
    select oid::regprocedure::text, oid, 'execute', 'function'
    from pg_proc where pronamespace = any (array[to_regnamespace('public'), to_regnamespace('cogo_internal')])
    union all
    select nspname, oid, unnest(array['usage', 'create']), 'schema' from pg_namespace where nspname = 'cogo_internal'
) found
where case kind when 'column' then has_any_column_privilege(role, oid, wanted)
                when 'table' then has_table_privilege(role, oid, wanted)
                when 'sequence' then has_sequence_privilege(role, oid, wanted)
                when 'schema' then has_schema_privilege(role, oid, wanted)
                else has_function_privilege(role, oid, wanted) end
union all
select format('%s has no row level security', oid::regclass) from pg_class
where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relrowsecurity
union all
select format('%s lets in %s', tablename, roles) from pg_policies
where schemaname = 'public' and roles <> array['service_role']::name[]
"""


_READS: Final = """
do $$
declare
    role_name text;
    table_name text;
begin
    foreach role_name in array array['anon', 'authenticated'] loop
        perform set_config('role', role_name, true);
        for table_name in select tablename from pg_tables where schemaname = 'public' loop
            begin
                execute format('select from public.%I', table_name);
                raise notice '% reads %', role_name, table_name;
            exception when insufficient_privilege then
                null;
            end;
        end loop;
    end loop;
    perform set_config('role', 'none', true);
end $$
"""


def rights_of_outsiders(owner: Owner) -> list[str]:
    """Return each right of anon and authenticated in our schemas, and each table without row level security."""
    return [row[0] for row in owner.execute(_RIGHTS.encode())] + _tables_they_read(owner)


def _tables_they_read(owner: Owner) -> list[str]:
    found: list[str] = []

    def keep(notice: Diagnostic) -> None:
        found.append(notice.message_primary or "")

    owner.add_notice_handler(keep)
    owner.execute(_READS.encode())
    owner.remove_notice_handler(keep)
    return found
