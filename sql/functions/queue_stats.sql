/*
 * The queue in numbers. Counts of waiting jobs stop at count_limit (10,000), so that the call stays cheap.
 *
 * Returns {"ready" due now, "ready_by_family", "waiting" due later, "running", "running_by_instance", "expired_leases",
 * "oldest_ready_seconds", "dlq_open", "succeeded_24h", "failed_24h", "workers_alive", "slots_alive", "slots_free"}.
 */
create or replace function public.queue_stats(executor_id text default null, count_limit integer default 10000) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    ready jsonb;
    oldest timestamptz;
    answer jsonb;
begin
    with recursive known as (
        (select j.family from public.jobs j where j.status = 'queued' order by j.family limit 1)
        union all
        select (select j.family from public.jobs j
                where j.status = 'queued' and j.family > k.family order by j.family limit 1)
        from known k where k.family is not null
    )
    select coalesce(jsonb_object_agg(k.family, lane.n) filter (where lane.n > 0), '{}'), min(lane.oldest)
    into ready, oldest
    from known k
    cross join lateral (
        select count(*) as n, min(capped.next_run_at) as oldest
        from generate_series(0, 9) as level (priority)
        cross join lateral (
            select j.next_run_at from public.jobs j
            where j.status = 'queued' and j.family = k.family and j.priority = level.priority and j.next_run_at <= at
              and (j.executor_id is null or queue_stats.executor_id is null or j.executor_id = queue_stats.executor_id)
            order by j.next_run_at
            limit queue_stats.count_limit
        ) capped
    ) lane
    where k.family is not null;

    select jsonb_build_object(
        'ready', (select coalesce(sum(value::bigint), 0) from jsonb_each_text(ready)),
        'ready_by_family', ready,
        'oldest_ready_seconds', coalesce(extract(epoch from at - oldest)::double precision, 0),
        'waiting', (select count(*) from (select from public.jobs j where j.status = 'queued' and j.next_run_at > at
                                          limit queue_stats.count_limit) capped),
        'running', (select count(*) from public.jobs j where j.status = 'running'),
        'running_by_instance', (select coalesce(jsonb_object_agg(r.instance, r.n), '{}') from (
            select coalesce(j.instance_id::text, '') as instance, count(*) as n from public.jobs j
            where j.status = 'running' group by 1) r),
        'expired_leases', (select count(*) from public.jobs j where j.status = 'running' and j.lease_expires_at < at),
        'dlq_open', (select count(*) from public.jobs_dlq d
                     where not d.superseded and d.replayed_at is null and d.closed_at is null),
        'succeeded_24h', (select count(*) from public.jobs j
                          where j.status = 'succeeded' and j.finished_at > at - interval '1 day'),
        'failed_24h', (select count(*) from public.jobs j
                       where j.status = 'failed' and j.finished_at > at - interval '1 day'),
        'workers_alive', count(*),
        'slots_alive', coalesce(sum(w.concurrency), 0),
        'slots_free', coalesce(sum(greatest(w.concurrency - w.running, 0)), 0))
    into answer
    from public.workers w
    where public.worker_is_alive(w);
    return answer;
end $$;

comment on function public.queue_stats is 'The queue in numbers.';
