/*
 * The families of the workers that Dagster runs registered within since_seconds.
 *
 * Returns [{"family", "seconds": since the last registration with it, "newer": registrations of Dagster runs after that,
 * counted among the next 5,000 workers}]. Errors: CQ005.
 *
 * Workers that run the same families are one step through the index workers_families.
 */
create or replace function public.registered_families(since_seconds double precision default 604800) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    at constant timestamptz := clock_timestamp();
begin
    if coalesce(registered_families.since_seconds, 'nan') not between 0 and 31536000 then
        perform cogo_internal.invalid_argument('since_seconds must be 0 to 31536000.');
    end if;
    return (
        with recursive kind as (
            (select hash_array_extended(w.families, 0) as key from public.workers w where w.dagster_run_id is not null
             order by hash_array_extended(w.families, 0) limit 1)
            union all
            select (select hash_array_extended(w.families, 0) from public.workers w
                    where w.dagster_run_id is not null and hash_array_extended(w.families, 0) > k.key
                    order by hash_array_extended(w.families, 0) limit 1)
            from kind k where k.key is not null
        ), registered as materialized (
            select f.family, max(last.started_at) as started_at
            from kind k
            cross join lateral (
                select w.families, w.started_at from public.workers w
                where w.dagster_run_id is not null and hash_array_extended(w.families, 0) = k.key
                  and w.started_at > at - make_interval(secs => registered_families.since_seconds)
                order by w.started_at desc limit 1) last
            cross join lateral unnest(last.families) as f (family)
            where f.family is not null
            group by 1
        )
        select coalesce(jsonb_agg(jsonb_build_object(
                   'family', r.family, 'seconds', greatest(cogo_internal.seconds_between(r.started_at, at), 0), 'newer', (
                       select count(*) from (select w.dagster_run_id from public.workers w where w.started_at > r.started_at
                                             order by w.started_at, w.instance_id limit 5000) w
                       where w.dagster_run_id is not null))
                   order by r.family), '[]')
        from registered r);
end $$;

comment on function public.registered_families is 'The families of the workers that Dagster runs registered.';
