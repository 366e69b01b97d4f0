"""The parts of a schema as lines, which can be compared between databases and versions of PostgreSQL."""

from cogo_dagster_tests.conftest import Owner

_QUERIES = {
    "column": """
        select a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped""",
    # PostgreSQL 18 has a constraint for each NOT NULL, which the columns already show.
    "constraint": """
        select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace and contype <> 'n'""",
    "index": "select indexdef from pg_indexes where schemaname = 'public'",
    "function": """
        select oid::regprocedure, pg_get_function_result(oid), provolatile, prosecdef, proconfig, obj_description(oid),
               md5(pg_get_functiondef(oid))
        from pg_proc where pronamespace in ('public'::regnamespace, 'cogo_internal'::regnamespace)""",
    "policy": "select tablename, policyname, roles, cmd, qual, with_check from pg_policies where schemaname = 'public'",
    "table": """
        select relname, relkind, relrowsecurity, reloptions from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')""",
    "trigger": "select tgrelid::regclass, tgname from pg_trigger where not tgisinternal",
    # The rights of owners differ between versions: only those of others are compared.
    "right": """
        select owned.name, grantee::regrole, privilege_type
        from (select oid::regprocedure::text, proacl from pg_proc
              where pronamespace in ('public'::regnamespace, 'cogo_internal'::regnamespace)
              union all
              select nspname, nspacl from pg_namespace where nspname = 'cogo_internal'
              union all
              select relname, relacl from pg_class where relnamespace = 'public'::regnamespace) owned (name, acl),
             aclexplode(owned.acl)
        where grantee <> grantor""",
    "migration": "select version, name from supabase_migrations.schema_migrations",
    "release": "select release, functions_digest from public.deployment",
}


def fingerprint(connection: Owner) -> set[str]:
    """Return every part of the schemas public and cogo_internal, one line each."""
    return {
        f"{kind} {' | '.join(map(str, row))}"
        for kind, query in _QUERIES.items()
        for row in connection.execute(query.encode())
    }
