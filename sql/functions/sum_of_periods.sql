/*
 * The numbers of several periods, added up.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.sum_of_periods(starts_at timestamptz, parts public.job_periods[]) returns public.job_periods
language sql immutable set search_path = '' as $$
    select row(
        sum_of_periods.starts_at,
        (select coalesce(sum(p.succeeded), 0)::bigint from unnest(sum_of_periods.parts) p),
        (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from (
            select c.type, c.status, sum(c.n) as n, sum(c.first_try) as first_try, sum(c.attempts) as attempts,
                sum(c.retried) as retried, sum(c.lost) as lost
            from unnest(sum_of_periods.parts) as p
            cross join lateral jsonb_to_recordset(p.tally) as c (type text, status text, n bigint, first_try bigint, attempts bigint,
                                                                 retried bigint, lost bigint)
            group by 1, 2) t),
        w.ms, w.n,
        (select coalesce(jsonb_agg(to_jsonb(f)), '[]') from cogo_internal.similar_failures(sum_of_periods.parts) f))::public.job_periods
    from (
        select coalesce(array_agg(k.ms order by k.ms), '{}') as ms, coalesce(array_agg(k.n order by k.ms), '{}') as n
        from (select v.ms, sum(v.n)::bigint as n from unnest(sum_of_periods.parts) as p
              cross join lateral unnest(p.wait_ms, p.wait_n) as v (ms, n)
              group by 1) k
    ) w
$$;

comment on function cogo_internal.sum_of_periods is 'The numbers of several periods, added up.';
