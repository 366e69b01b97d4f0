/*
 * Add jobs; all or none.
 *
 * jobs        [{type, payload, executor_id, priority, max_attempts, idempotency_key, run_in_seconds, timeout_seconds}]
 * request_id  A uuid of the caller's that makes the call repeatable: the jobs' ids are made from it.
 *
 * Returns {"jobs": [{"job_id", "created"}]} in the order given. `created` is false where an idempotency key
 * found the job that already holds it. Errors: CQ004 same key, other content; CQ005 an argument.
 */
create or replace function public.enqueue_jobs(jobs jsonb, request_id uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    given integer := case when jsonb_typeof(enqueue_jobs.jobs) = 'array' then jsonb_array_length(enqueue_jobs.jobs)
        else public.invalid_argument('jobs must be an array of job objects.')::text::integer end;
    ids uuid[] := public.derived_ids(coalesce(enqueue_jobs.request_id, public.time_ordered_id()), given);
    added integer;
    answer jsonb;
begin
    -- A second round is needed only where a key's holder was purged while we waited for it.
    for round in 1..3 loop
        insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, idempotency_key,
                                 timeout_seconds, created_at, next_run_at)
        select ids[i.position],
            case when i.type ~ '^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$' and length(i.type) <= 100 then i.type
                else public.invalid_argument(format('The type %s must be lower-case words joined by dots, such as browser.pdf.',
                                                    coalesce(quote_literal(i.type), 'is missing:')))::text end,
            case when i.payload is null then '{}' when jsonb_typeof(i.payload) = 'object' then i.payload
                else public.invalid_argument('The payload must be a JSON object.') end,
            case when i.executor_id is null or length(i.executor_id) between 1 and 200 then i.executor_id
                else public.invalid_argument('The executor id must have 1 to 200 characters.')::text end,
            case when coalesce(i.priority, 5) between 0 and 9 then coalesce(i.priority, 5)
                else public.invalid_argument('The priority must be 0 (first) to 9.')::text::integer end,
            case when coalesce(i.max_attempts, 5) between 1 and 100 then coalesce(i.max_attempts, 5)
                else public.invalid_argument('max_attempts must be 1 to 100.')::text::integer end,
            case when i.idempotency_key is null or length(i.idempotency_key) between 1 and 500 then i.idempotency_key
                else public.invalid_argument('The idempotency key must have 1 to 500 characters.')::text end,
            case when i.timeout_seconds is null or i.timeout_seconds > 0 and i.timeout_seconds <= 86400 then i.timeout_seconds
                else public.invalid_argument('timeout_seconds must be above 0 and at most a day.')::text::double precision end,
            at,
            -- One microsecond apart, so that jobs enqueued together run in the order given.
            case when coalesce(i.run_in_seconds, 0) between 0 and 315360000
                then at + make_interval(secs => coalesce(i.run_in_seconds, 0)) - (given - i.position) * interval '1 microsecond'
                else public.invalid_argument('run_in_seconds must be 0 to ten years.')::text::timestamptz end
        from rows from (jsonb_to_recordset(enqueue_jobs.jobs) as (
            type text, payload jsonb, executor_id text, priority integer, max_attempts integer,
            idempotency_key text, run_in_seconds double precision, timeout_seconds double precision
        )) with ordinality as i (type, payload, executor_id, priority, max_attempts, idempotency_key,
                                 run_in_seconds, timeout_seconds, position)
        order by i.position
        on conflict do nothing;

        get diagnostics added = row_count;
        if added = given then
            perform public.wake_workers();
            return (select jsonb_build_object('jobs', coalesce(jsonb_agg(jsonb_build_object('job_id', u.id, 'created', true)
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
        perform public.invalid_argument('A job with this idempotency key was purged meanwhile: enqueue again.');
    end if;
    if answer @> '[{"same": false}]' then
        raise exception using errcode = 'CQ004',
            message = format('Job %s already has this idempotency key with another payload or executor id: use another key.',
                             jsonb_path_query_first(answer, '$[*] ? (@.same == false).job_id') #>> '{}'),
            detail = jsonb_path_query_first(answer, '$[*] ? (@.same == false).job_id') #>> '{}';
    end if;
    perform public.wake_workers();
    return jsonb_build_object('jobs', (select jsonb_agg(a.job - 'same' order by a.position)
                                       from jsonb_array_elements(answer) with ordinality as a (job, position)));
end $$;

comment on function public.enqueue_jobs is 'Add jobs, all or none; repeatable by request id or idempotency key.';
