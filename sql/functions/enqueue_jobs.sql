/*
 * Add jobs; all or none.
 *
 * jobs        [{type, payload, executor_id, priority, max_attempts, idempotency_key, run_in_seconds, timeout_seconds}]
 * request_id  A uuid that makes the call repeatable: the ids of the jobs are derived from it.
 *
 * A payload has at most 1,000,000 bytes (see set_payload_limit), 100 levels and 300 digits per number: see json_fault.
 *
 * Returns {"jobs": [{"job_id", "created"}]} in the order given. `created` is false if a job with the idempotency key
 * exists; its id is returned. Errors: CQ004 the idempotency key belongs to a job with other content, CQ005.
 */
create or replace function public.enqueue_jobs(jobs jsonb, request_id uuid default null) returns json
language plpgsql set search_path = '' as $$
declare
    result json;
begin
    if jsonb_typeof(enqueue_jobs.jobs) is distinct from 'array' then
        perform cogo_internal.invalid_argument('jobs must be an array of job objects.');
    end if;
    select public.enqueue_columns(
        coalesce(array_agg(i.type order by i.position), '{}'),
        coalesce(jsonb_agg(i.payload order by i.position), '[]'),
        coalesce(array_agg(i.executor_id order by i.position), '{}'),
        coalesce(array_agg(i.priority order by i.position), '{}'),
        coalesce(array_agg(i.max_attempts order by i.position), '{}'),
        case when count(i.idempotency_key) > 0 then array_agg(i.idempotency_key order by i.position) end,
        coalesce(array_agg(i.run_in_seconds order by i.position), '{}'),
        coalesce(array_agg(i.timeout_seconds order by i.position), '{}'), enqueue_jobs.request_id)
    into result
    from rows from (jsonb_to_recordset(enqueue_jobs.jobs) as (
        type text, payload jsonb, executor_id text, priority integer, max_attempts integer,
        idempotency_key text, run_in_seconds double precision, timeout_seconds double precision
    )) with ordinality as i (type, payload, executor_id, priority, max_attempts, idempotency_key,
                             run_in_seconds, timeout_seconds, position);
    return (select json_build_object('jobs', coalesce(json_agg(
                json_build_object('job_id', new.job_id, 'created', coalesce(new.created::boolean, true))
                order by new.position), '[]'))
            from rows from (
                json_array_elements_text(result -> 'job_ids'),
                json_array_elements_text(case json_typeof(result -> 'created') when 'array' then result -> 'created' end)
            ) with ordinality as new (job_id, created, position));
end $$;

comment on function public.enqueue_jobs is 'Add jobs, all or none; repeatable by request id or idempotency key.';
