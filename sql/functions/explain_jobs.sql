/*
 * Why each job has its current status. Unknown ids are left out.
 *
 * job_ids       ["uuid", …], at most 1,000
 * count_ahead   Whether to count the jobs ahead of each, which reads up to 1,000 rows per job; otherwise `ahead` is null
 *
 * Returns [{"job_id", "why", …}] in the order given. `why` of a queued job, the first that applies:
 *   paused          {"kind", "name", "paused_at", "actor", "reason"}
 *   waiting         {"next_run_at", "attempts", "snoozed"}: it is not due; `snoozed` is the reason of its last snooze
 *   no_worker       {"family", "executor_id"}: there is no live worker
 *   no_executor     {"family", "executor_id"}: no live worker runs this family
 *   no_address      {"family", "executor_id"}: no live worker of this family serves the executor id of the job
 *   busy            {"slots"}: all slots of the workers that could run it are in use
 *   in_line         {"ahead"}: due jobs of its lane that come before it (1,000 means 1,000 or more)
 * of a running job:
 *   running         {"worker_id", "lease_expires_at"}
 *   lease_expired   {"worker_id", "lease_expires_at"}: its worker is gone, and the job will be recovered soon
 * of a finished job, its status:
 *   succeeded, cancelled, failed {"reason", "replayed_job_id"}, with "discarded_at" and "discard_reason" if it is discarded
 *
 * The settings are those of claim_jobs: the jobs ahead are counted in the order of the index jobs_claim_lane.
 */
create or replace function public.explain_jobs(job_ids jsonb, count_ahead boolean default true) returns jsonb
language plpgsql stable
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set jit = off
as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    if jsonb_typeof(explain_jobs.job_ids) is distinct from 'array' or jsonb_array_length(explain_jobs.job_ids) > 1000 then
        perform cogo_internal.invalid_argument('job_ids must be an array of at most 1,000 uuids.');
    end if;
    with held as materialized (
        select r.instance_id, r.n from cogo_internal.running_jobs() r
    )
    select jsonb_agg(jsonb_build_object('job_id', j.id) || case
            when j.status = 'running' then jsonb_build_object(
                'why', case when j.lease_expires_at < at then 'lease_expired' else 'running' end,
                'worker_id', j.worker_id, 'lease_expires_at', j.lease_expires_at)
            when j.status = 'failed' then jsonb_build_object('why', 'failed') || coalesce(
                (select jsonb_build_object('reason', d.reason, 'replayed_job_id', d.replayed_job_id)
                    || case when d.closed_at = d.discarded_at
                        then jsonb_build_object('discarded_at', d.discarded_at, 'discard_reason', d.discard_reason) else '{}' end
                 from public.jobs_dlq d where d.job_id = j.id and not d.superseded), '{}')
            when j.status <> 'queued' then jsonb_build_object('why', j.status)
            else coalesce(
                (select jsonb_build_object('why', 'paused') || to_jsonb(p) from public.paused p
                 where p.kind = 'type' and (j.type = p.name or starts_with(j.type, p.name || '.'))
                    or p.kind = 'executor' and p.name = j.executor_id
                 order by p.kind, p.name limit 1),
                case when j.next_run_at > at
                    then jsonb_build_object('why', 'waiting', 'next_run_at', j.next_run_at, 'attempts', j.attempts,
                        'snoozed', case when j.error ->> 'class' = 'snoozed' then j.error ->> 'message' end) end,
                case
                    when serving.alive = 0 then jsonb_build_object('why', 'no_worker', 'family', j.family, 'executor_id', j.executor_id)
                    when serving.able = 0 then jsonb_build_object('why', 'no_executor', 'family', j.family, 'executor_id', j.executor_id)
                    when serving.fitting = 0 then jsonb_build_object('why', 'no_address', 'family', j.family, 'executor_id', j.executor_id)
                    when serving.free = 0 then jsonb_build_object('why', 'busy', 'slots', serving.slots) end,
                jsonb_build_object('why', 'in_line', 'ahead', case when explain_jobs.count_ahead then (
                    select count(*) from (
                        select from generate_series(0, j.priority) as level (priority)
                        cross join lateral (
                            (select from public.jobs other
                             where other.status = 'queued' and other.family = j.family and other.executor_id = j.executor_id
                               and other.priority = level.priority
                               and other.next_run_at <= case when level.priority = j.priority then j.next_run_at else at end
                               and other.id <> j.id limit 1000)
                            union all
                            (select from public.jobs other
                             where other.status = 'queued' and other.family = j.family and other.executor_id is null
                               and j.executor_id is null and other.priority = level.priority
                               and other.next_run_at <= case when level.priority = j.priority then j.next_run_at else at end
                               and other.id <> j.id limit 1000)
                        ) before
                        limit 1000) line) end))
            end order by requested.position)
    into result
    from jsonb_array_elements_text(explain_jobs.job_ids) with ordinality as requested (id, position)
    join public.jobs j on j.id = requested.id::uuid
    cross join lateral (
        select count(*) as alive, count(*) filter (where j.family = any (w.families)) as able,
            count(*) filter (where able.fits) as fitting, coalesce(sum(w.concurrency) filter (where able.fits), 0) as slots,
            coalesce(sum(greatest(w.concurrency - coalesce(held.n, 0), 0)) filter (where able.fits), 0) as free
        from public.workers w
        left join held using (instance_id)
        cross join lateral (select j.family = any (w.families)
            and (j.executor_id is null or j.executor_id is not distinct from w.executor_id) as fits) able
        where w.stopped_at is null and cogo_internal.worker_is_alive(w)
    ) serving;
    return coalesce(result, '[]');
end $$;

comment on function public.explain_jobs is 'Why each job has its current status.';
