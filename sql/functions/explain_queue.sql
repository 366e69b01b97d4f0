/*
 * Why the queued jobs wait: what explain_jobs knows of each, grouped by family, executor ID and cause.
 *
 * count_limit   Jobs are counted up to this number for each priority of a lane, and up to 10,000 (or this number, if it is
 *               higher) for each lane: those that are due, and the others
 * max_reasons   The maximum number of groups to return
 *
 * Returns {"reasons": […], "queued", "stranded", "left_out": groups that were not returned}, stranded groups first, then
 * those that have been due for longest. A group:
 * {"family", "executor_id" or null, "why", "count", "oldest_seconds": how long its oldest job has been due or null,
 * "next_run_at" of the first job that is not due or null, "stranded", "kind", "name", "paused_at", "actor", "reason" of a
 * pause, "slots" of the workers that can run it}.
 * `why`, the first that holds: paused, waiting, no_worker, no_executor, no_address, busy, in_line: see explain_jobs.
 * `stranded`: the jobs are due, and no live worker can claim them, nor can a worker as Dagster launched it within the last
 * hour, which the sensor ready_jobs launches again for due jobs of its families.
 * Errors: CQ005.
 *
 * Settings as in claim_jobs: jobs are read lane by lane in the order of the index jobs_claim_lane.
 */
create or replace function public.explain_queue(count_limit integer default 10000, max_reasons integer default 100) returns jsonb
language plpgsql stable
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set jit = off
as $$
declare
    at timestamptz := clock_timestamp();
    held jsonb;
    result jsonb;
begin
    if coalesce(explain_queue.count_limit, 0) not between 1 and 1000000 or coalesce(explain_queue.max_reasons, 0) not between 1 and 1000 then
        perform cogo_internal.invalid_argument('count_limit must be 1 to 1000000, and max_reasons 1 to 1000.');
    end if;
    -- Looked up by key: without hash joins, each worker would be compared with the instances of all running jobs.
    select coalesce(jsonb_object_agg(r.instance_id, r.n), '{}') into held from cogo_internal.running_jobs() r;
    with typed as materialized (
        select g.* from cogo_internal.queue_groups(at, explain_queue.count_limit) g
    ), grouped as materialized (
        -- A pause comes before the time of a job, as in explain_jobs.
        select t.family, t.executor_id, t.due or p.kind is not null as due, p.kind, p.name, sum(t.n)::bigint as n,
            min(t.first_run_at) filter (where t.due) as due_since, min(t.first_run_at) filter (where not t.due) as next_run_at
        from typed t
        left join lateral (
            select p.kind, p.name from public.paused p
            where p.kind = 'type' and (t.type = p.name or starts_with(t.type, p.name || '.'))
               or p.kind = 'executor' and p.name = t.executor_id
            order by p.kind, p.name limit 1) p on true
        group by 1, 2, 3, 4, 5
    ), worker as materialized (
        select w.families, w.executor_id, w.concurrency, coalesce((held ->> w.instance_id::text)::bigint, 0) as running, lives.alive
        from public.workers w
        cross join lateral (select w.stopped_at is null and cogo_internal.worker_is_alive(w) as alive) lives
        where lives.alive
           or w.dagster_run_id is not null and w.stuck_reason is null and w.started_at > at - interval '1 hour'
    ), explained as materialized (
        select g.*, serving.slots,
            case
                when g.kind is not null then 'paused'
                when not g.due then 'waiting'
                when serving.alive = 0 then 'no_worker'
                when serving.able = 0 then 'no_executor'
                when serving.fitting = 0 then 'no_address'
                when serving.free = 0 then 'busy'
                else 'in_line' end as why,
            g.kind is null and g.due and serving.fitting = 0 and not serving.launched as stranded
        from grouped g
        cross join lateral (
            select count(*) filter (where w.alive) as alive,
                count(*) filter (where w.alive and g.family = any (w.families)) as able,
                count(*) filter (where w.alive and able.fits) as fitting,
                coalesce(sum(w.concurrency) filter (where w.alive and able.fits), 0) as slots,
                coalesce(sum(greatest(w.concurrency - w.running, 0)) filter (where w.alive and able.fits), 0) as free,
                coalesce(bool_or(able.fits and not w.alive), false) as launched
            from worker w
            cross join lateral (select g.family = any (w.families)
                and (g.executor_id is null or g.executor_id is not distinct from w.executor_id) as fits) able
        ) serving
    ), numbered as (
        select e.*, row_number() over (order by e.stranded desc, e.due_since, e.next_run_at, e.family, e.executor_id, e.kind, e.name) as position
        from explained e
    )
    select jsonb_build_object(
        'reasons', coalesce(jsonb_agg(jsonb_build_object(
            'family', n.family, 'executor_id', n.executor_id, 'why', n.why, 'count', n.n, 'stranded', n.stranded,
            'oldest_seconds', cogo_internal.seconds_between(n.due_since, at), 'next_run_at', n.next_run_at,
            'kind', n.kind, 'name', n.name, 'paused_at', p.paused_at, 'actor', p.actor, 'reason', p.reason,
            'slots', n.slots) order by n.position) filter (where n.position <= explain_queue.max_reasons), '[]'),
        'queued', coalesce(sum(n.n), 0), 'stranded', coalesce(sum(n.n) filter (where n.stranded), 0),
        'left_out', count(*) filter (where n.position > explain_queue.max_reasons))
    into result
    from numbered n left join public.paused p on p.kind = n.kind and p.name = n.name;
    return result;
end $$;

comment on function public.explain_queue is 'Why the queued jobs wait, by family, executor ID and cause.';
