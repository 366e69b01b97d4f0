/*
 * The queued jobs by lane and type: due ones and the others, how many, and the first time of each group. A lane of which no
 * type is paused is one group, with the family as its type: only the index is read.
 *
 * count_limit   Jobs are counted up to this number for each priority of a lane, and up to 10,000 (or this number, if it is
 *               higher) for each lane: those that are due, and the others
 *
 * The caller has the settings of claim_jobs. Internal: other functions call it.
 */
create or replace function cogo_internal.queue_groups(at timestamptz, count_limit integer)
returns table (family text, executor_id text, type text, due boolean, n bigint, first_run_at timestamptz)
language sql stable set search_path = '' as $$
    with lane as materialized (
        select l.family, l.executor_id, d.*,
            exists (select from public.paused p where p.kind = 'type' and split_part(p.name, '.', 1) = l.family) as has_paused_type
        from cogo_internal.queue_lanes() l
        cross join (values (true, timestamptz '-infinity', queue_groups.at),
                           (false, queue_groups.at + interval '1 microsecond', 'infinity')) as d (due, since, until)
    )
    select l.family, l.executor_id, l.family, l.due, counted.n, first.next_run_at
    from lane l
    cross join lateral (
        select count(*) as n from (
            select from generate_series(0, 9) as p (priority)
            cross join lateral (
                (select from public.jobs q
                 where q.status = 'queued' and q.family = l.family and q.executor_id = l.executor_id
                   and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
                 limit queue_groups.count_limit)
                union all
                (select from public.jobs q
                 where q.status = 'queued' and q.family = l.family and q.executor_id is null and l.executor_id is null
                   and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
                 limit queue_groups.count_limit)
            ) k
            limit greatest(queue_groups.count_limit, 10000)) capped
    ) counted
    cross join lateral (
        -- Of each priority: the limit may have left out the first.
        select min(k.next_run_at) as next_run_at from generate_series(0, 9) as p (priority)
        cross join lateral (
            (select q.next_run_at from public.jobs q
             where q.status = 'queued' and q.family = l.family and q.executor_id = l.executor_id
               and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
               and q.next_run_at > '-infinity' and q.next_run_at < 'infinity'
             order by q.next_run_at limit 1)
            union all
            (select q.next_run_at from public.jobs q
             where q.status = 'queued' and q.family = l.family and q.executor_id is null and l.executor_id is null
               and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
               and q.next_run_at > '-infinity' and q.next_run_at < 'infinity'
             order by q.executor_id, q.next_run_at limit 1)
        ) k
    ) first
    where not l.has_paused_type and counted.n > 0
    union all
    select l.family, l.executor_id, j.type, l.due, greatest(sum(j.n), 1),
        min(j.next_run_at) filter (where isfinite(j.next_run_at))
    from lane l
    cross join lateral (
        (select k.type, k.next_run_at, 1 as n
         from generate_series(0, 9) as p (priority)
         cross join lateral (
             (select q.type, q.next_run_at from public.jobs q
              where q.status = 'queued' and q.family = l.family and q.executor_id = l.executor_id
                and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
              order by q.next_run_at limit queue_groups.count_limit)
             union all
             (select q.type, q.next_run_at from public.jobs q
              where q.status = 'queued' and q.family = l.family and q.executor_id is null and l.executor_id is null
                and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
              order by q.executor_id, q.next_run_at limit queue_groups.count_limit)
         ) k
         limit greatest(queue_groups.count_limit, 10000))
        union all
        (select k.type, k.next_run_at, 0
         from generate_series(0, 9) as p (priority)
         cross join lateral (
             (select q.type, q.next_run_at from public.jobs q
              where q.status = 'queued' and q.family = l.family and q.executor_id = l.executor_id
                and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
              order by q.next_run_at limit 1)
             union all
             (select q.type, q.next_run_at from public.jobs q
              where q.status = 'queued' and q.family = l.family and q.executor_id is null and l.executor_id is null
                and q.priority = p.priority and q.next_run_at >= l.since and q.next_run_at <= l.until
              order by q.executor_id, q.next_run_at limit 1)
         ) k)
    ) j
    where l.has_paused_type
    group by 1, 2, 3, 4
$$;

comment on function cogo_internal.queue_groups is 'The queued jobs by lane and type.';
