/*
 * Recover running jobs whose lease expired: their worker crashed, was killed or lost its connection. The attempt was
 * counted at claim, so a crash consumes an attempt: running -> queued now, or failed with a DLQ row if it was the last. The
 * attempt of a prefetched job that never started is not counted, so that a crashing job does not use up the attempts of
 * others.
 *
 * A job with a cancel request is cancelled. Files of a lost attempt become `orphaned`, and its claim returns no more jobs:
 * see claim_jobs. `lost_attempts` counts the consecutive lost attempts of a job.
 *
 * dry_run   write nothing: return {"items": [{"id", "version", "type", "worker_id", "attempts", "max_attempts",
 *           "lease_expires_at"}] of one page, "matched": their number, "more", "after"}. The version is that of the lease.
 * after     {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * items     [{"id", "version"}, …]: only these leases
 * action    an operator's action, which is recorded: see repeated_batch. Workers pass null.
 *
 * Any process may call it at any time, also concurrently. Returns {"changed", "requeued", "failed", "cancelled", "more"};
 * call again while `more`. Errors: CQ005.
 */
create or replace function public.recover_leases(
    batch_size integer default 500, dry_run boolean default false, action jsonb default null,
    after jsonb default null, items jsonb default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    crashed constant jsonb := '{"class": "lease_expired", "retryable": true, "message":
        "The worker stopped renewing its lease: it crashed, was killed or was cut off from the database."}';
    taken uuid[];
    tokens uuid[];
    instances uuid[];
    unstarted boolean[];
    dead uuid[];
    requeued integer;
    failed integer;
    cancelled integer;
    matched integer;
    result jsonb;
begin
    if recover_leases.batch_size is null or recover_leases.batch_size not between 1 and 10000 then
        perform cogo_internal.invalid_argument('batch_size must be 1 to 10000.');
    end if;
    if recover_leases.dry_run then
        return (
            select jsonb_build_object(
                'items', coalesce(jsonb_agg(to_jsonb(expired) order by expired.lease_expires_at, expired.id), '[]'),
                'matched', count(*), 'changed', 0, 'skipped', 0, 'more', count(*) >= recover_leases.batch_size,
                'after', (array_agg(jsonb_build_object('at', expired.lease_expires_at, 'id', expired.id)
                                    order by expired.lease_expires_at desc, expired.id desc))[1])
            from (select j.id, md5(j.lease_token::text) as version, j.type, j.worker_id, j.attempts, j.max_attempts, j.lease_expires_at
                  from public.jobs j
                  where j.status = 'running' and j.lease_expires_at < at
                    and (recover_leases.after is null or (j.lease_expires_at, j.id)
                         > ((recover_leases.after ->> 'at')::timestamptz, (recover_leases.after ->> 'id')::uuid))
                  order by j.lease_expires_at, j.id limit recover_leases.batch_size) expired);
    end if;
    result := cogo_internal.repeated_batch(recover_leases.action);
    if result is not null then
        return result;
    end if;

    -- Locked in a separate statement: the next ones see what was committed until then, such as an artifact that was
    -- finished between this statement's snapshot and its lock.
    select coalesce(array_agg(e.id), '{}'), coalesce(array_agg(e.lease_token), '{}'), array_agg(e.instance_id),
        array_agg(e.started_at is null)
    into taken, tokens, instances, unstarted
    from (
        select j.id, j.lease_token, j.instance_id, j.started_at from public.jobs j
        where j.status = 'running' and j.lease_expires_at < at
          and (recover_leases.items is null or exists (
              select from jsonb_to_recordset(recover_leases.items) as i (id uuid, version text)
              where i.id = j.id and (i.version is null or i.version = md5(j.lease_token::text))))
        limit recover_leases.batch_size
        for update skip locked
    ) e;

    with expired as materialized (
        select held.id, held.token, held.unstarted and not coalesce(held.id = any (w.started_job_ids), true) as never_started
        from unnest(taken, tokens, instances, unstarted) as held (id, token, instance_id, unstarted)
        left join public.workers w on w.instance_id = held.instance_id
    ), updated as (
        update public.jobs j set
            status = case
                when j.cancel_requested then 'cancelled'
                when j.attempts >= j.max_attempts and not e.never_started then 'failed'
                else 'queued' end,
            attempts = j.attempts - case when e.never_started and not j.cancel_requested then 1 else 0 end,
            lost_attempts = case when e.never_started then j.lost_attempts else least(j.lost_attempts + 1, 32767) end,
            next_run_at = at,
            lease_token = null,
            lease_expires_at = null,
            finished_at = case when j.cancel_requested or j.attempts >= j.max_attempts and not e.never_started then at end,
            error = case when e.never_started then j.error else crashed end
        from expired e where j.id = e.id
        returning j.*, e.token, e.never_started
    ), lost as (
        insert into public.job_attempts (job_id, lease_token, attempt, outcome, worker_id, instance_id, claimed_at,
                                         started_at, finished_at, error)
        select u.id, u.token, u.attempts + case when u.never_started and u.status = 'queued' then 1 else 0 end,
               case when u.never_started then 'released' else 'lost' end,
               u.worker_id, u.instance_id, u.claimed_at, u.started_at, at, case when u.never_started then null else crashed end
        from updated u
        order by u.id
        on conflict (job_id, lease_token) do nothing
    )
    select count(*) filter (where u.status = 'queued'), count(*) filter (where u.status = 'failed'),
           count(*) filter (where u.status = 'cancelled'), array_agg(u.id) filter (where u.status = 'failed')
    into requeued, failed, cancelled, dead from updated u;
    if dead is not null then
        perform cogo_internal.add_dead_letters(dead, array_fill('crashed'::text, array[cardinality(dead)]), at);
    end if;

    if cardinality(taken) > 0 then
        with orphaned as materialized (
            select a.id from unnest(taken, tokens) as held (job_id, lease_token)
            join public.artifacts a on a.job_id = held.job_id and a.lease_token = held.lease_token
            where a.status in ('pending', 'ready')
            order by a.id for update of a
        )
        update public.artifacts a set status = 'orphaned' from orphaned where a.id = orphaned.id;

        insert into public.ended_claims (claim_id, ended_at)
        select distinct on (token) token, at from unnest(tokens) as token order by token
        on conflict (claim_id) do nothing;
    end if;

    if requeued > 0 then
        perform cogo_internal.wake_workers();
    end if;
    matched := coalesce(jsonb_array_length(recover_leases.items), requeued + failed + cancelled);
    result := jsonb_build_object(
        'matched', matched, 'changed', requeued + failed + cancelled, 'skipped', matched - (requeued + failed + cancelled),
        'requeued', requeued, 'failed', failed, 'cancelled', cancelled,
        'more', recover_leases.items is null and requeued + failed + cancelled >= recover_leases.batch_size);
    if recover_leases.action is null then
        return result;
    end if;
    return cogo_internal.log_operation(
        recover_leases.action, 'recover_leases',
        jsonb_build_object('planned', case when recover_leases.items is not null then true end), result);
end $$;

comment on function public.recover_leases is 'Recover jobs whose lease expired.';
