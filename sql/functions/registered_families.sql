/*
 * The families of the workers that Dagster runs registered within since_seconds, of at most the newest 10,000 workers.
 *
 * Returns [{"family", "seconds": since the last registration with it, "newer": registrations of Dagster runs after that}].
 * Errors: CQ005.
 */
create or replace function public.registered_families(since_seconds double precision default 604800) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off set jit = off as $$
declare
    at constant timestamptz := clock_timestamp();
begin
    if coalesce(registered_families.since_seconds, 'nan') not between 0 and 31536000 then
        perform cogo_internal.invalid_argument('since_seconds must be 0 to 31536000.');
    end if;
    return (
        with newest as materialized (
            select w.families, w.started_at, w.dagster_run_id from public.workers w
            where w.started_at > at - make_interval(secs => registered_families.since_seconds)
            order by w.started_at desc, w.instance_id desc limit 10000
        ), launched as (
            select n.families, n.started_at, row_number() over (order by n.started_at desc) - 1 as newer
            from newest n where n.dagster_run_id is not null
        )
        select coalesce(jsonb_agg(jsonb_build_object(
                   'family', r.family, 'seconds', greatest(cogo_internal.seconds_between(r.started_at, at), 0), 'newer', r.newer)
                   order by r.family), '[]')
        from (select f.family, max(l.started_at) as started_at, min(l.newer) as newer
              from launched l, unnest(l.families) as f (family) where f.family is not null group by 1) r);
end $$;

comment on function public.registered_families is 'The families of the workers that Dagster runs registered.';
