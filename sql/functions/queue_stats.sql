/*
 * The queue in numbers. Counts of due jobs stop at count_limit (10,000) for each priority of a lane, and at 10,000 (or
 * count_limit, if it is higher) for each lane, those due later at count_limit in all, so that the call stays cheap. Paused jobs are not ready: see pause.
 *
 * Returns {"ready" due now, "ready_by_family", "waiting" due later, "running", "running_by_instance", "expired_leases",
 * "oldest_ready_seconds", "paused", "dlq_open", "succeeded_24h", "failed_24h", "workers_alive", "slots_alive", "slots_free"}.
 * Slots are free unless a running job of a live worker uses them: the number in its last heartbeat is older.
 *
 * Reads lane by lane in the order of the index jobs_claim_lane, with settings that make the planner use it, as in
 * claim_jobs: by default it read and sorted the whole queue, or the whole table, before it counted to the limit.
 */
create or replace function public.queue_stats(executor_id text default null, count_limit integer default 10000) returns jsonb
language plpgsql stable
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
    at timestamptz := clock_timestamp();
    ready jsonb;
    oldest timestamptz;
    waiting bigint;
    result jsonb;
    paused_types constant text := cogo_internal.paused_types(queue_stats.executor_id);
begin
    with lane as materialized (
        select k.family, k.executor_id from cogo_internal.queue_lanes() k
    ), level as materialized (
        select l.family, l.executor_id, p.priority from lane l cross join generate_series(0, 9) as p (priority)
    ), due as (
        select l.family, sum(counted.n) as n, min(first.next_run_at) as oldest
        from lane l
        cross join lateral (
            select count(*) as n from (
                select from generate_series(0, 9) as p (priority)
                cross join lateral (
                    (select from public.jobs j
                     where j.status = 'queued' and j.family = l.family and j.executor_id = l.executor_id
                       and j.priority = p.priority and j.next_run_at <= at
                       and (paused_types is null or j.type !~ paused_types)
                     limit queue_stats.count_limit)
                    union all
                    (select from public.jobs j
                     where j.status = 'queued' and j.family = l.family and j.executor_id is null and l.executor_id is null
                       and j.priority = p.priority and j.next_run_at <= at
                       and (paused_types is null or j.type !~ paused_types)
                     limit queue_stats.count_limit)
                ) j
                limit greatest(queue_stats.count_limit, 10000)) capped
        ) counted
        cross join lateral (
            select min(j.next_run_at) as next_run_at from generate_series(0, 9) as p (priority)
            cross join lateral (
                (select j.next_run_at from public.jobs j
                 where j.status = 'queued' and j.family = l.family and j.executor_id = l.executor_id
                   and j.priority = p.priority and j.next_run_at > '-infinity' and j.next_run_at <= at
                   and (paused_types is null or j.type !~ paused_types)
                 order by j.next_run_at limit 1)
                union all
                (select j.next_run_at from public.jobs j
                 where j.status = 'queued' and j.family = l.family and j.executor_id is null and l.executor_id is null
                   and j.priority = p.priority and j.next_run_at > '-infinity' and j.next_run_at <= at
                   and (paused_types is null or j.type !~ paused_types)
                 order by j.executor_id, j.next_run_at limit 1)
            ) j
        ) first
        where (l.executor_id is null or queue_stats.executor_id is null or l.executor_id = queue_stats.executor_id)
          and (paused_types is null or l.family !~ paused_types)
          and not exists (select from public.paused p where p.kind = 'executor' and p.name = l.executor_id)
        group by l.family
    )
    select coalesce(jsonb_object_agg(d.family, d.n) filter (where d.n > 0), '{}'), min(d.oldest),
        (select count(*) from (
            select from level l
            cross join lateral (
                (select from public.jobs j
                 where j.status = 'queued' and j.family = l.family and j.executor_id = l.executor_id
                   and j.priority = l.priority and j.next_run_at > at)
                union all
                (select from public.jobs j
                 where j.status = 'queued' and j.family = l.family and j.executor_id is null and l.executor_id is null
                   and j.priority = l.priority and j.next_run_at > at)
            ) later
            limit queue_stats.count_limit) capped)
    into ready, oldest, waiting
    from due d;

    select jsonb_build_object(
        'ready', (select coalesce(sum(value::bigint), 0) from jsonb_each_text(ready)),
        'ready_by_family', ready,
        'oldest_ready_seconds', coalesce(cogo_internal.seconds_between(oldest, at), 0),
        'waiting', waiting,
        'running', (select count(*) from public.jobs j where j.status = 'running'),
        'running_by_instance', (select coalesce(jsonb_object_agg(r.instance, r.n), '{}') from (
            select coalesce(j.instance_id::text, '') as instance, count(*) as n from public.jobs j
            where j.status = 'running' group by 1) r),
        'expired_leases', (select count(*) from public.jobs j where j.status = 'running' and j.lease_expires_at < at),
        'paused', (select count(*) from public.paused),
        'dlq_open', (select count(*) from public.jobs_dlq d
                     where not d.superseded and d.replayed_at is null and d.closed_at is null),
        'succeeded_24h', cogo_internal.succeeded_since(at - interval '1 day'),
        'failed_24h', (select count(*) from public.jobs j
                       where j.status = 'failed' and j.finished_at > at - interval '1 day'),
        'workers_alive', count(*),
        'slots_alive', coalesce(sum(w.concurrency), 0),
        'slots_free', coalesce(sum(greatest(w.concurrency - coalesce(held.n, 0), 0)), 0))
    into result
    from public.workers w
    left join cogo_internal.running_jobs() held using (instance_id)
    where w.stopped_at is null and w.last_heartbeat_at > at - interval '3 days'  -- the index workers_alive
      and cogo_internal.worker_is_alive(w);
    return result;
end $$;

comment on function public.queue_stats is 'The queue in numbers.';
