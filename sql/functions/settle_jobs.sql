/*
 * Settle attempts, fenced: only the holder of the lease token may settle an attempt. An expired lease that was not
 * claimed again is accepted, since its token is still the job's.
 *
 * settlements   [{job_id, lease_token, outcome, result, error, retryable, delay_seconds, run_seconds, uncounted}]
 *   succeeded   running -> succeeded, also when a cancel was requested
 *   failed      running -> queued after backoff_seconds (or delay_seconds, if longer);
 *               out of attempts or not retryable: running -> failed, and a row in jobs_dlq
 *   snoozed     running -> queued in delay_seconds, attempt not counted; the 100th snooze counts as a failure.
 *               `uncounted`: true if something that all jobs depend on is unavailable, such as the artifact store: such
 *               a snooze does not count towards the 100
 *   requeued    running -> queued now, attempt not counted: for a graceful shutdown and for jobs that never started, not
 *               for a crash, whose attempts end with their lease and count. Files that the attempt has already uploaded
 *               become `orphaned`
 *   cancelled   running -> cancelled; also any other outcome than succeeded when a cancel was requested
 *
 * A result must be within the limits of json_fault; an error that is too long is cut: see stored_error.
 *
 * Returns {"statuses": […], "job_statuses": […]} in the order given. A status is "ok" (also when repeated with
 * the same token and outcome), "lease_lost" or "job_not_found"; rejected items do not affect the others.
 * Errors: CQ005.
 *
 * Running is written as `lease_expires_at is not null`, which a constraint makes equivalent: with the status, the
 * planner reads all running jobs by the index jobs_lease instead of the settled jobs by their primary key.
 */
create or replace function public.settle_jobs(settlements jsonb) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    done bigint[];
    released uuid[];
    tokens uuid[];
    dead uuid[];
    reasons text[];
    statuses jsonb;
    job_statuses jsonb;
begin
    -- Rows are locked in the order of their ids, so that calls that settle the same jobs cannot deadlock.
    with item as materialized (
        select s.job_id, s.lease_token, s.outcome, s.retryable, s.delay_seconds, s.uncounted, s.position,
            case when s.outcome = 'snoozed' and s.uncounted then 'requeued' else s.outcome end as ending,
            case when s.result is null or cogo_internal.is_small_json(s.result) then s.result
                else cogo_internal.checked_json(s.result, 'The result') end as result,
            case when s.error is not null then cogo_internal.stored_error(s.error) end as error,
            case when s.run_seconds between 0 and 31536000 then s.run_seconds end as run_seconds
        from rows from (jsonb_to_recordset(settle_jobs.settlements) as (
            job_id uuid, lease_token uuid, outcome text, result jsonb, error jsonb, retryable boolean,
            delay_seconds double precision, run_seconds double precision, uncounted boolean
        )) with ordinality as s (job_id, lease_token, outcome, result, error, retryable, delay_seconds, run_seconds,
                                 uncounted, position)
        where s.outcome in ('succeeded', 'failed', 'snoozed', 'requeued', 'cancelled')
           or cogo_internal.invalid_argument(format('The outcome %s must be succeeded, failed, snoozed, requeued or cancelled.',
                                             coalesce(s.outcome, 'null')))::boolean
        order by s.job_id
        limit jsonb_array_length(settle_jobs.settlements)  -- all: it lowers the estimate, as in succeed_jobs
    ), updated as (
        update public.jobs j set
            (status, attempts, lease_token, finished_at) = (
                select following.status,
                    j.attempts - case when i.outcome in ('snoozed', 'requeued') and following.status = 'queued' then 1 else 0 end,
                    case when following.status <> 'queued' then j.lease_token end,
                    case when following.status <> 'queued' then at end
                from (select cogo_internal.status_after(i.ending, i.retryable, j.cancel_requested, j.attempts, j.max_attempts,
                                                 j.snoozes) as status) following),
            snoozes = case when i.outcome = 'snoozed' and i.uncounted is not true then j.snoozes + 1 else j.snoozes end,
            lost_attempts = case when i.outcome = 'requeued' then j.lost_attempts else 0 end,
            next_run_at = case
                when i.outcome = 'failed' then at + make_interval(secs => greatest(cogo_internal.backoff_seconds(j.attempts),
                                                                                   least(coalesce(i.delay_seconds, 0), 31536000)))
                when i.outcome = 'snoozed' then at + make_interval(secs => least(greatest(coalesce(i.delay_seconds, 1), 0), 31536000))
                when i.outcome = 'requeued' then at
                else j.next_run_at end,
            lease_expires_at = null,
            started_at = coalesce(j.started_at, at - make_interval(secs => i.run_seconds)),
            run_seconds = i.run_seconds,
            result = i.result,
            error = coalesce(i.error, case when i.outcome = 'succeeded' then null else j.error end)
        from item i
        where j.id = i.job_id and j.lease_token = i.lease_token and j.lease_expires_at is not null
        returning j.*, i.outcome, i.lease_token as token, i.position
    ), superseded as (
        insert into public.job_attempts (job_id, lease_token, attempt, outcome, worker_id, instance_id, claimed_at,
                                         started_at, finished_at, run_seconds, error)
        select u.id, u.token, u.attempts + case when u.outcome in ('snoozed', 'requeued') then 1 else 0 end,
               case when u.outcome = 'requeued' then 'released' else u.outcome end,
               u.worker_id, u.instance_id, u.claimed_at, u.started_at, at, u.run_seconds, u.error
        from updated u where u.status = 'queued'
        on conflict (job_id, lease_token) do nothing
    )
    select array_agg(u.position), jsonb_agg(u.status order by u.position),
        array_agg(u.id) filter (where u.status = 'failed'),
        array_agg(case when u.outcome = 'snoozed' then 'snoozed_too_often'
                       when u.attempts >= u.max_attempts then 'out_of_attempts' else 'permanent' end)
            filter (where u.status = 'failed'),
        array_agg(u.id) filter (where u.outcome = 'requeued' and u.status = 'queued'),
        array_agg(u.token) filter (where u.outcome = 'requeued' and u.status = 'queued')
    into done, job_statuses, dead, reasons, released, tokens from updated u;
    if dead is not null then
        perform cogo_internal.add_dead_letters(dead, reasons, at);
    end if;

    -- In a separate statement, which sees artifacts that were finished before the jobs were locked.
    if released is not null then
        with orphaned as materialized (
            select a.id from unnest(released, tokens) as held (job_id, lease_token)
            join public.artifacts a on a.job_id = held.job_id and a.lease_token = held.lease_token
            where a.status in ('pending', 'ready')
            order by a.id for update of a
        )
        update public.artifacts a set status = 'orphaned' from orphaned where a.id = orphaned.id;
    end if;

    if cardinality(done) = jsonb_array_length(settle_jobs.settlements) then
        return jsonb_build_object('statuses', array_fill('ok'::text, array[cardinality(done)]), 'job_statuses', job_statuses);
    end if;

    -- Some were rejected or repeated. A separate statement, so that it sees what another call has just committed.
    select jsonb_agg(case
            when i.position = any (done) then 'ok'
            when j.id is null then 'job_not_found'
            when j.lease_token = i.lease_token and (j.status = i.outcome
                or j.status = 'cancelled' and i.outcome <> 'succeeded'
                or j.status = 'failed' and i.outcome = 'snoozed') then 'ok'
            when exists (select from public.job_attempts a
                         where a.job_id = i.job_id and a.lease_token = i.lease_token
                           and a.outcome = case i.outcome when 'requeued' then 'released' else i.outcome end) then 'ok'
            else 'lease_lost' end order by i.position),
        jsonb_agg(j.status order by i.position)
    into statuses, job_statuses
    from rows from (jsonb_to_recordset(settle_jobs.settlements) as (job_id uuid, lease_token uuid, outcome text))
        with ordinality as i (job_id, lease_token, outcome, position)
    left join public.jobs j on j.id = i.job_id;
    return jsonb_build_object('statuses', coalesce(statuses, '[]'), 'job_statuses', coalesce(job_statuses, '[]'));
end $$;

comment on function public.settle_jobs is 'Settle attempts, fenced by lease token; a status per attempt.';
