/*
 * Requeue failed jobs, each with its own id, and close their rows in the dead-letter queue. A dry run by default,
 * which writes nothing.
 *
 * type_prefix      "browser" matches browser and browser.pdf
 * executor_id      only jobs addressed to this executor
 * since_seconds    only jobs that failed within this many seconds
 * job_ids, items   only these: see bulk_arguments; without them, discarded jobs are left out
 * reset_attempts   count attempts from zero again; else a job that is out of attempts is granted one more attempt
 * after            {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action           the operator's action and its batch: see repeated_batch
 *
 * Oldest failure first. Returns {"items", "matched", "changed", "skipped", "more", "after"}; call again while `more`.
 * An item shows the job before and after the retry: {"id", "version", "type", "executor_id", "attempts", "max_attempts",
 * "attempts_after", "max_attempts_after", "failed_at", "error"}. Items are listed by dry runs only.
 * Errors: CQ001 a named job is unknown, CQ003 it has not failed or was replayed, CQ005.
 */
create or replace function public.retry_failed(
    type_prefix text default null, executor_id text default null, since_seconds double precision default null,
    job_ids jsonb default null, items jsonb default null, reset_attempts boolean default false, dry_run boolean default true,
    after jsonb default null, batch_size integer default 500, action jsonb default null
) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    named constant uuid[] := cogo_internal.bulk_arguments(retry_failed.job_ids, retry_failed.items, retry_failed.batch_size);
    result jsonb;
    listed jsonb;
    candidates uuid[];
    taken uuid[];
begin
    if not retry_failed.dry_run then
        result := cogo_internal.repeated_batch(retry_failed.action);
        if result is not null then
            return result;
        end if;
    end if;
    if retry_failed.job_ids is not null then
        perform cogo_internal.check_retryable(named);
    end if;

    select coalesce(array_agg(f.id order by f.finished_at, f.id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object(
            'id', f.id, 'version', f.version, 'type', f.type, 'executor_id', f.executor_id, 'attempts', f.attempts,
            'max_attempts', f.max_attempts, 'attempts_after', case when retry_failed.reset_attempts then 0 else f.attempts end,
            'max_attempts_after', case when retry_failed.reset_attempts then f.max_attempts
                                       else greatest(f.max_attempts, f.attempts + 1) end,
            'failed_at', f.finished_at, 'error', f.error) order by f.finished_at, f.id), '[]')
    into candidates, listed
    from (
        select j.*, j.xmin::text as version from public.jobs j
        where j.status = 'failed'
          and (named is null or j.id = any (named))
          and (retry_failed.type_prefix is null or starts_with(j.type, retry_failed.type_prefix))
          and (retry_failed.executor_id is null or j.executor_id = retry_failed.executor_id)
          and (retry_failed.since_seconds is null or j.finished_at >= at - make_interval(secs => retry_failed.since_seconds))
          and (retry_failed.after is null or j.finished_at >= (retry_failed.after ->> 'at')::timestamptz
               and (j.finished_at, j.id) > ((retry_failed.after ->> 'at')::timestamptz, (retry_failed.after ->> 'id')::uuid))
          and (named is not null or not exists (select from public.jobs_dlq d
                                                where d.job_id = j.id and not d.superseded and d.closed_at = d.discarded_at))
          and not exists (select from public.jobs_dlq d
                          where d.job_id = j.id and not d.superseded and d.replayed_at is not null)
        order by j.finished_at, j.id
        limit greatest(retry_failed.batch_size, cardinality(named))
    ) f;

    if retry_failed.dry_run then
        return jsonb_build_object(
            'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'more', cardinality(candidates) >= retry_failed.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'failed_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    -- Locked in the order of settle_jobs: jobs first, then their rows of jobs_dlq. Locked jobs are being changed: skipped.
    taken := array(
        select j.id from public.jobs j
        where j.id = any (candidates) and j.status = 'failed'
          and (retry_failed.items is null or exists (
              select from jsonb_to_recordset(retry_failed.items) as i (id uuid, version text)
              where i.id = j.id and (i.version is null or i.version = j.xmin::text)))
        order by j.id for update skip locked);
    perform from public.jobs_dlq d where d.job_id = any (taken) and not d.superseded order by d.job_id for update;
    -- A replay may have been first: this statement sees it.
    taken := array(
        select t.id from unnest(taken) as t (id)
        where not exists (select from public.jobs_dlq d
                          where d.job_id = t.id and not d.superseded and d.replayed_at is not null));

    insert into public.job_attempts (job_id, lease_token, attempt, outcome, worker_id, instance_id, claimed_at,
                                     started_at, finished_at, run_seconds, error, ended_job)
    select j.id, j.lease_token, j.attempts, case d.reason when 'snoozed_too_often' then 'snoozed' else 'failed' end,
           j.worker_id, j.instance_id, j.claimed_at, j.started_at, j.finished_at, j.run_seconds, j.error, true
    from public.jobs j
    left join public.jobs_dlq d on d.job_id = j.id and not d.superseded
    where j.id = any (taken) and j.lease_token is not null
    on conflict (job_id, lease_token) do nothing;
    -- The last attempt of a job that crashed its worker has its row already.
    update public.job_attempts a set ended_job = true
    from public.jobs j
    where j.id = any (taken) and j.lease_token is null
      and a.job_id = j.id and a.outcome = 'lost' and a.finished_at = j.finished_at;

    update public.jobs j set
        status = 'queued',
        attempts = case when retry_failed.reset_attempts then 0 else j.attempts end,
        max_attempts = case when retry_failed.reset_attempts then j.max_attempts else greatest(j.max_attempts, j.attempts + 1) end,
        snoozes = 0,
        cancel_requested = false,
        next_run_at = at,
        lease_token = null,
        finished_at = null
    where j.id = any (taken);
    update public.jobs_dlq d set closed_at = at where d.job_id = any (taken) and not d.superseded;

    if cardinality(taken) > 0 then
        perform cogo_internal.wake_workers();
    end if;
    return cogo_internal.log_operation(
        retry_failed.action, 'retry_failed',
        jsonb_build_object('type_prefix', retry_failed.type_prefix, 'executor_id', retry_failed.executor_id,
                           'since_seconds', retry_failed.since_seconds, 'job_ids', retry_failed.job_ids,
                           'planned', case when retry_failed.items is not null then true end,
                           'reset_attempts', retry_failed.reset_attempts),
        cogo_internal.bulk_result(named, candidates, cardinality(taken), retry_failed.batch_size));
end $$;

comment on function public.retry_failed is 'Requeue failed jobs; a dry run by default.';
