"""The catalogue in Python matches the functions in the database."""

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import sql_folder
from cogo_dagster_tests.conftest import Owner
from docs import sql_functions
from docs.sql_functions import IN_PUBLIC

# Functions that only other functions call.
INTERNAL = {function.name for function in sql_functions.functions() if function.is_internal}

OURS = "pronamespace in ('public'::regnamespace, 'cogo_internal'::regnamespace)"


def test_the_catalogue_names_every_argument_in_order_with_its_type(owner: Owner) -> None:
    """Names, order and types of the arguments are the same in Python and the database."""
    in_database = owner.execute(
        "select proname, array(select format_type(t, null) from unnest(proargtypes) t), coalesce(proargnames, '{}')"
        " from pg_proc where pronamespace = 'public'::regnamespace and proname <> all (%s)",
        (list(IN_PUBLIC),),
    )
    declared = {name: dict(zip(names, types, strict=True)) for name, types, names in in_database}
    assert declared == {name: dict(arguments) for name, arguments in FUNCTIONS.items()}
    assert [list(declared[name]) for name in FUNCTIONS] == [list(arguments) for arguments in FUNCTIONS.values()]


def test_each_function_has_a_file_of_its_name(owner: Owner) -> None:
    """There is one function per file, without overloads and without leftovers."""
    in_database = owner.execute(f"select proname from pg_proc where {OURS}".encode()).fetchall()
    files = [(path.stem,) for path in (sql_folder() / "functions").glob("*.sql")]
    assert sorted(in_database) == sorted(files)
    assert {name for (name,) in files} == set(FUNCTIONS) | INTERNAL


def test_internal_functions_are_in_the_internal_schema(owner: Owner) -> None:
    """They are not exposed by an API, except those that must be in public."""
    query = "select proname from pg_proc where pronamespace = %s::regnamespace"
    found = {schema: {name for (name,) in owner.execute(query, (schema,))} for schema in ("public", "cogo_internal")}
    assert found["public"] & INTERNAL == set(IN_PUBLIC)
    assert found["cogo_internal"] == INTERNAL - set(IN_PUBLIC)
    assert all(IN_PUBLIC.values())


def test_every_call_of_the_catalogue_returns_one_json_document(owner: Owner) -> None:
    """PostgREST changes the format of composites, sets and scalars."""
    others = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname <> all (%s)"
        " and (prorettype not in ('jsonb'::regtype, 'json'::regtype) or proretset)",
        (list(IN_PUBLIC),),
    )
    assert others.fetchall() == []


def test_every_function_and_table_is_described(owner: Owner) -> None:
    """The reference page and Studio show the comments."""
    silent = owner.execute(f"select proname from pg_proc where {OURS} and obj_description(oid) is null".encode())
    assert silent.fetchall() == []


def test_a_function_that_forbids_a_plan_forbids_jit(owner: Owner) -> None:
    """Before PostgreSQL 18 the cost of a disabled step exceeds jit_above_cost: compilation takes 1.5 s per call."""
    compiled = owner.execute(
        f"select proname from pg_proc where {OURS}"
        " and proconfig::text like '%enable_%' and array_position(proconfig, 'jit=off') is null".encode()
    )
    assert compiled.fetchall() == []


def test_the_old_name_of_a_renamed_function_is_the_same_call(owner: Owner) -> None:
    """`promote_alerts` takes the arguments of `evaluate_alerts`, raises the same alerts, and returns the same keys."""
    assert FUNCTIONS["promote_alerts"] == FUNCTIONS["evaluate_alerts"]
    owner.execute(
        "insert into public.run_failures (run_id, job_name, error_class, failed_at)"
        " values ('one', 'process_jobs', 'unknown', now())"
    )
    old = owner.execute("select public.promote_alerts('[]', 1800, 10)").fetchone()
    new = owner.execute("select public.evaluate_alerts('[]', 1800, 10)").fetchone()
    assert old is not None
    assert new is not None
    assert old[0].keys() == new[0].keys()
    assert (old[0]["promoted"]["runs"], new[0]["promoted"]["runs"]) == (1, 0)
