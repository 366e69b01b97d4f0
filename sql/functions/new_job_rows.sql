/*
 * The rows that enqueue_columns adds, in the order given, with their defaults. Errors: CQ005.
 *
 * types   A single element is the type of all rows, which is checked once: the check takes a tenth of an enqueue.
 *
 * It has no `set` clause, so that the planner inlines it; `unnest` of several arrays cannot be qualified with a schema.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.new_job_rows(
    ids uuid[], at timestamptz, types text[], payloads jsonb, executor_ids text[], priorities integer[],
    max_attempts integer[], idempotency_keys text[], run_in_seconds double precision[], timeout_seconds double precision[]
) returns table (id uuid, type text, payload jsonb, executor_id text, priority integer, max_attempts integer,
               idempotency_key text, timeout_seconds double precision, created_at timestamptz, next_run_at timestamptz)
language sql stable as $$
    select i.id,
        case when i.type ~ '^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$' and pg_catalog.length(i.type) <= 100 then i.type
            when i.position > 1 and pg_catalog.cardinality(types) = 1 then types[1]  -- checked in the first row
            else cogo_internal.invalid_argument(pg_catalog.format('The type %s must be lower-case words joined by dots, such as browser.pdf.',
                                                coalesce(pg_catalog.quote_literal(pg_catalog.left(i.type, 120)), 'is missing:')))::text end,
        case when i.payload is null or i.payload = 'null' then '{}'
            when pg_catalog.jsonb_typeof(i.payload) <> 'object' then cogo_internal.invalid_argument('The payload must be a JSON object.')
            when cogo_internal.is_small_json(i.payload) then i.payload
            else cogo_internal.checked_json(i.payload, 'The payload') end,
        case when i.executor_id is null or pg_catalog.length(i.executor_id) between 1 and 200 and i.executor_id !~ '[\x01-\x1f\x7f-\x9f]'
            then i.executor_id
            else cogo_internal.invalid_argument('The executor id must have 1 to 200 characters and no control characters.')::text end,
        case when i.priority is null then 5 when i.priority between 0 and 9 then i.priority
            else cogo_internal.invalid_argument('The priority must be 0 (first) to 9.')::text::integer end,
        case when i.max_attempts is null then 5 when i.max_attempts between 1 and 100 then i.max_attempts
            else cogo_internal.invalid_argument('max_attempts must be 1 to 100.')::text::integer end,
        case when i.idempotency_key is null or pg_catalog.length(i.idempotency_key) between 1 and 500 then i.idempotency_key
            else cogo_internal.invalid_argument('The idempotency key must have 1 to 500 characters.')::text end,
        case when i.timeout_seconds is null or i.timeout_seconds > 0 and i.timeout_seconds <= 86400 then i.timeout_seconds
            else cogo_internal.invalid_argument('timeout_seconds must be above 0 and at most a day.')::text::double precision end,
        at,
        case when i.run_in_seconds is null then at - (pg_catalog.cardinality(ids) - i.position) * interval '1 microsecond'
            when i.run_in_seconds between 0 and 315360000
            then at + pg_catalog.make_interval(secs => i.run_in_seconds) - (pg_catalog.cardinality(ids) - i.position) * interval '1 microsecond'
            else cogo_internal.invalid_argument('run_in_seconds must be 0 to ten years.')::text::timestamptz end
    from rows from (
        unnest(ids, types, executor_ids, priorities, max_attempts, idempotency_keys, run_in_seconds, timeout_seconds),
        pg_catalog.jsonb_array_elements(payloads)
    ) with ordinality as i (id, type, executor_id, priority, max_attempts, idempotency_key, run_in_seconds, timeout_seconds,
                            payload, position)
$$;

comment on function cogo_internal.new_job_rows is 'The rows that enqueue_jobs adds.';
