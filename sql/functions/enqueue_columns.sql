/*
 * Add jobs given as columns; all or none. Costs less than enqueue_jobs for many jobs.
 *
 * types, payloads  One element for each job; the payloads as one JSON array. A single type is the type of all jobs.
 * The others       As many elements each, or null if every job has the default; a null element means the default.
 * request_id       A uuid that makes the call repeatable: the ids of the jobs are derived from it.
 *
 * A payload has at most 1,000,000 bytes (see set_payload_limit), 100 levels and 300 digits per number: see json_fault.
 *
 * Returns {"job_ids": […], "created": […]} in the order given. `created` is null if all were created, and false for a
 * job whose idempotency key belongs to an earlier job, whose id is returned. Errors: CQ004 the idempotency key belongs
 * to a job with other content, CQ005.
 *
 * The generic plan is forced because each of the first five plans takes as long as adding 80 jobs. It is kept when the
 * table grows, so that no scan of the table may be in it; `jit` is off because the cost of a forbidden scan enables it.
 */
create or replace function public.enqueue_columns(
    types text[], payloads jsonb, executor_ids text[] default null, priorities integer[] default null,
    max_attempts integer[] default null, idempotency_keys text[] default null,
    run_in_seconds double precision[] default null, timeout_seconds double precision[] default null,
    request_id uuid default null
) returns json
language plpgsql
set search_path = '' set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
    at timestamptz := clock_timestamp();
    type_count integer := cardinality(enqueue_columns.types);
    job_count integer := case jsonb_typeof(enqueue_columns.payloads)
        when 'array' then jsonb_array_length(enqueue_columns.payloads) end;
    ids uuid[];
    added integer;
    result jsonb;
begin
    if job_count is null or type_count is null or (type_count <> job_count and (type_count <> 1 or job_count = 0))
       or coalesce(cardinality(enqueue_columns.executor_ids), job_count) <> job_count
       or coalesce(cardinality(enqueue_columns.priorities), job_count) <> job_count
       or coalesce(cardinality(enqueue_columns.max_attempts), job_count) <> job_count
       or coalesce(cardinality(enqueue_columns.idempotency_keys), job_count) <> job_count
       or coalesce(cardinality(enqueue_columns.run_in_seconds), job_count) <> job_count
       or coalesce(cardinality(enqueue_columns.timeout_seconds), job_count) <> job_count then
        perform cogo_internal.invalid_argument('types, payloads and the other columns must be arrays of the same length.');
    end if;
    ids := cogo_internal.derived_ids(coalesce(enqueue_columns.request_id, cogo_internal.time_ordered_id()), job_count);

    -- Most calls conflict with nothing: a plain insert costs a fifth less than one that checks for conflicts. A call
    -- without keys conflicts with its own repetition only. With keys the insert ends at the first key that exists.
    begin
        if enqueue_columns.idempotency_keys is null then
            insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                     timeout_seconds, created_at, next_run_at)
            select * from cogo_internal.new_job_rows(
                ids, at, enqueue_columns.types, enqueue_columns.payloads, enqueue_columns.executor_ids,
                enqueue_columns.priorities, enqueue_columns.max_attempts, enqueue_columns.idempotency_keys,
                enqueue_columns.run_in_seconds, enqueue_columns.timeout_seconds);
        else
            insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                     timeout_seconds, created_at, next_run_at)
            select n.* from cogo_internal.new_job_rows(
                ids, at, enqueue_columns.types, enqueue_columns.payloads, enqueue_columns.executor_ids,
                enqueue_columns.priorities, enqueue_columns.max_attempts, enqueue_columns.idempotency_keys,
                enqueue_columns.run_in_seconds, enqueue_columns.timeout_seconds) as n
            -- Calls with the same keys wait for each other; since all use the same order, they cannot deadlock.
            order by n.type, n.idempotency_key;
        end if;
        added := job_count;
    exception when unique_violation then
        added := 0;
    end;

    -- A second round is needed only if a job with the same key was purged while this call waited for it.
    for round in 1..3 loop
        if added is distinct from job_count then
            insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                     timeout_seconds, created_at, next_run_at)
            select n.id, n.type, n.payload, n.executor_id, n.priority, n.max_attempts, n.idempotency_key,
                   n.timeout_seconds, n.created_at, n.next_run_at
            from cogo_internal.new_job_rows(
                ids, at, enqueue_columns.types, enqueue_columns.payloads, enqueue_columns.executor_ids,
                enqueue_columns.priorities, enqueue_columns.max_attempts, enqueue_columns.idempotency_keys,
                enqueue_columns.run_in_seconds, enqueue_columns.timeout_seconds) with ordinality as n (
                id, type, payload, executor_id, priority, max_attempts, idempotency_key, timeout_seconds, created_at,
                next_run_at, position)
            order by n.type, n.idempotency_key, n.position
            on conflict do nothing;
            get diagnostics added = row_count;
        end if;
        if added = job_count then
            if job_count > 0 then
                perform cogo_internal.wake_workers();
            end if;
            return json_build_object('job_ids', ids, 'created', null);
        end if;

        select jsonb_agg(jsonb_build_object('job_id', j.id, 'created', j.id = ids[i.position], 'same',
                   j.type = coalesce(i.type, enqueue_columns.types[1]) and j.payload = coalesce(nullif(i.payload, 'null'), '{}')
                   and j.executor_id is not distinct from i.executor_id) order by i.position)
        into result
        from rows from (
            unnest(enqueue_columns.types, enqueue_columns.executor_ids, enqueue_columns.idempotency_keys),
            jsonb_array_elements(enqueue_columns.payloads)
        ) with ordinality as i (type, executor_id, idempotency_key, payload, position)
        cross join lateral (
            select * from public.jobs existing where existing.id = ids[i.position]
            union all
            select * from public.jobs existing
            where existing.type = coalesce(i.type, enqueue_columns.types[1]) and existing.idempotency_key = i.idempotency_key
            limit 1
        ) j;
        exit when jsonb_array_length(result) = job_count;
    end loop;

    if result is null or jsonb_array_length(result) <> job_count then
        perform cogo_internal.invalid_argument('The job with this idempotency key was purged during the call: enqueue again.');
    end if;
    if result @> '[{"same": false}]' then
        raise exception using errcode = 'CQ004',
            message = format('Job %s already has this idempotency key with another payload or executor id: use another key.',
                             jsonb_path_query_first(result, '$[*] ? (@.same == false).job_id') #>> '{}'),
            detail = jsonb_path_query_first(result, '$[*] ? (@.same == false).job_id') #>> '{}';
    end if;
    perform cogo_internal.wake_workers();
    return json_build_object('job_ids', jsonb_path_query_array(result, '$[*].job_id'),
                             'created', jsonb_path_query_array(result, '$[*].created'));
end $$;

comment on function public.enqueue_columns is 'Add jobs given as columns, all or none; repeatable by request id or idempotency key.';
