/*
 * Add jobs; all or none.
 *
 * jobs        [{type, payload, executor_id, priority, max_attempts, idempotency_key, run_in_seconds, timeout_seconds}]
 * request_id  A uuid that makes the call repeatable: the ids of the jobs are derived from it.
 *
 * A payload has at most 1,000,000 bytes (see set_payload_limit), 100 levels and 300 digits per number: see json_fault.
 *
 * Returns {"jobs": [{"job_id", "created"}]} in the order given. `created` is false if a job with the idempotency key
 * exists; its id is returned. Errors: CQ004 same key, other content; CQ005 an argument.
 */
create or replace function public.enqueue_jobs(jobs jsonb, request_id uuid default null) returns json
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    given integer := case when jsonb_typeof(enqueue_jobs.jobs) = 'array' then jsonb_array_length(enqueue_jobs.jobs)
        else cogo_internal.invalid_argument('jobs must be an array of job objects.')::text::integer end;
    ids uuid[] := cogo_internal.derived_ids(coalesce(enqueue_jobs.request_id, cogo_internal.time_ordered_id()), given);
    added integer;
    answer jsonb;
begin
    -- Without keys only a repetition of this call can conflict: the plain insert costs a fifth less.
    if not jsonb_path_exists(enqueue_jobs.jobs, '$[*].idempotency_key ? (@ != null)') then
        begin
            insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                     timeout_seconds, created_at, next_run_at)
            select * from cogo_internal.new_jobs(enqueue_jobs.jobs, ids, at);
            added := given;
        exception when unique_violation then
            added := 0;
        end;
    end if;

    -- A second round is needed only if a job with the same key was purged while this call waited for it.
    for round in 1..3 loop
        if added is distinct from given then
            insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                     timeout_seconds, created_at, next_run_at)
            select n.id, n.type, n.payload, n.executor_id, n.priority, n.max_attempts, n.idempotency_key,
                   n.timeout_seconds, n.created_at, n.next_run_at
            from cogo_internal.new_jobs(enqueue_jobs.jobs, ids, at) with ordinality as n (
                id, type, payload, executor_id, priority, max_attempts, idempotency_key, timeout_seconds, created_at,
                next_run_at, position)
            -- Calls with the same keys wait for each other: in one order for all, they cannot deadlock.
            order by n.type, n.idempotency_key, n.position
            on conflict do nothing;
            get diagnostics added = row_count;
        end if;
        if added = given then
            perform cogo_internal.wake_workers();
            return (select json_build_object('jobs', coalesce(json_agg(json_build_object('job_id', u.id, 'created', true)
                                                                       order by u.position), '[]'))
                    from unnest(ids) with ordinality as u (id, position));
        end if;

        select jsonb_agg(jsonb_build_object('job_id', j.id, 'created', j.id = ids[i.position], 'same',
                   j.type = i.type and j.payload = coalesce(i.payload, '{}')
                   and j.executor_id is not distinct from i.executor_id) order by i.position)
        into answer
        from rows from (jsonb_to_recordset(enqueue_jobs.jobs) as (
            type text, payload jsonb, executor_id text, idempotency_key text
        )) with ordinality as i (type, payload, executor_id, idempotency_key, position)
        cross join lateral (
            select * from public.jobs found where found.id = ids[i.position]
            union all
            select * from public.jobs found where found.type = i.type and found.idempotency_key = i.idempotency_key
            limit 1
        ) j;
        exit when jsonb_array_length(answer) = given;
    end loop;

    if answer is null or jsonb_array_length(answer) <> given then
        perform cogo_internal.invalid_argument('The job with this idempotency key was purged during the call: enqueue again.');
    end if;
    if answer @> '[{"same": false}]' then
        raise exception using errcode = 'CQ004',
            message = format('Job %s already has this idempotency key with another payload or executor id: use another key.',
                             jsonb_path_query_first(answer, '$[*] ? (@.same == false).job_id') #>> '{}'),
            detail = jsonb_path_query_first(answer, '$[*] ? (@.same == false).job_id') #>> '{}';
    end if;
    perform cogo_internal.wake_workers();
    return json_build_object('jobs', (select jsonb_agg(a.job - 'same' order by a.position)
                                      from jsonb_array_elements(answer) with ordinality as a (job, position)));
end $$;

comment on function public.enqueue_jobs is 'Add jobs, all or none; repeatable by request id or idempotency key.';
