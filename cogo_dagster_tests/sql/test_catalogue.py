"""The catalogue in Python and the functions in the database are the same."""

from cogo_dagster.queue.functions import FUNCTIONS
from cogo_dagster.queue.migrate import sql_folder
from cogo_dagster_tests.conftest import Owner

# Parts of others, which nobody calls by name.
PARTS = {
    "access_token_row",
    "alert_document",
    "alert_fingerprint",
    "alert_is_inhibited",
    "alert_is_silenced",
    "artifact_row",
    "backoff_seconds",
    "bulk_answer",
    "bulk_arguments",
    "check_metrics",
    "check_worker_id",
    "checked_json",
    "claimed_job",
    "counters_of",
    "dead_letter",
    "derived_ids",
    "error_fingerprint",
    "gate_run_row",
    "invalid_argument",
    "is_small_json",
    "job_row",
    "json_fault",
    "key_holder",
    "log_operation",
    "median_and_p95",
    "new_jobs",
    "note_token_use",
    "paused_types",
    "per_cent",
    "plan_alert_deliveries",
    "promote_conditions",
    "promote_dead_letters",
    "promote_gate_runs",
    "promote_providers",
    "promote_run_failures",
    "promote_schedules",
    "promote_targets",
    "promote_workers",
    "raise_alert",
    "readable_json",
    "redacted",
    "refuse_provider",
    "refuse_rate_name",
    "refuse_reference",
    "refuse_unpausable",
    "refuse_unreplayable",
    "refuse_unretryable",
    "register_alert_targets",
    "repeated_batch",
    "replay_count",
    "resolve_alerts",
    "seconds_between",
    "secret_row",
    "settle_one",
    "status_after",
    "stored_error",
    "time_ordered_id",
    "wake_workers",
    "web_session_row",
    "window_is_complete",
    "window_outcome",
    "window_row",
    "worker_is_alive",
}


def test_the_catalogue_names_every_argument_in_order_with_its_type(owner: Owner) -> None:
    """What Python declares is what the database has."""
    in_database = owner.execute(
        "select proname, array(select format_type(t, null) from unnest(proargtypes) t), coalesce(proargnames, '{}')"
        " from pg_proc where pronamespace = 'public'::regnamespace and proname <> all (%s)",
        (list(PARTS),),
    )
    declared = {name: dict(zip(names, types, strict=True)) for name, types, names in in_database}
    assert declared == {name: dict(arguments) for name, arguments in FUNCTIONS.items()}
    assert [list(declared[name]) for name in FUNCTIONS] == [list(arguments) for arguments in FUNCTIONS.values()]


def test_each_function_has_a_file_of_its_name(owner: Owner) -> None:
    """One function per file, no overloads, nothing left over."""
    in_database = owner.execute("select proname from pg_proc where pronamespace = 'public'::regnamespace").fetchall()
    files = [(path.stem,) for path in (sql_folder() / "functions").glob("*.sql")]
    assert sorted(in_database) == sorted(files)
    assert {name for (name,) in files} == set(FUNCTIONS) | PARTS


def test_every_call_of_the_catalogue_returns_one_json_document(owner: Owner) -> None:
    """Composites, sets and scalars lose their shape on the way through PostgREST."""
    others = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname <> all (%s)"
        " and (prorettype not in ('jsonb'::regtype, 'json'::regtype) or proretset)",
        (list(PARTS),),
    )
    assert others.fetchall() == []


def test_every_function_and_table_is_described(owner: Owner) -> None:
    """The reference page and Studio show the comments."""
    silent = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and obj_description(oid) is null"
    )
    assert silent.fetchall() == []


def test_a_function_that_forbids_a_plan_forbids_jit(owner: Owner) -> None:
    """Before PostgreSQL 18 a forbidden step makes a plan look dear enough to compile: 1.5 s for each call."""
    compiled = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and proconfig::text like '%enable_%' and array_position(proconfig, 'jit=off') is null"
    )
    assert compiled.fetchall() == []
