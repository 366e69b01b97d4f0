/*
 * A job as a compact claim returns it: [id, type, payload, attempts, max_attempts, created_at], and a seventh element, an
 * object with the other columns, if one of them does not have its default.
 *
 * Takes columns instead of the row, so that the planner inlines it without forming a row.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.compact_job(
    id uuid, type text, payload jsonb, attempts integer, max_attempts integer, created_at timestamptz, executor_id text,
    priority integer, idempotency_key text, timeout_seconds double precision, lost_attempts integer
) returns json
language sql stable as $$
    select case when executor_id is null and priority = 5 and idempotency_key is null and timeout_seconds is null
                 and lost_attempts = 0
        then pg_catalog.json_build_array(id, type, payload, attempts, max_attempts, created_at)
        else pg_catalog.json_build_array(id, type, payload, attempts, max_attempts, created_at,
            pg_catalog.json_build_object('executor_id', executor_id, 'priority', priority, 'idempotency_key', idempotency_key,
                                         'timeout_seconds', timeout_seconds, 'lost_attempts', lost_attempts)) end
$$;

comment on function cogo_internal.compact_job is 'The array that a compact claim returns for one job.';
