/*
 * Finished jobs by type and hour or day, in UTC.
 *
 * buckets        number of hours or days, 1 to 168, the current one last
 * bucket_hours   1 or 24
 *
 * Returns {"starts": [time], "types": [{"type", "counts": [number per bucket]}] the six most frequent ones, and the sum of
 * the others with type null}. Errors: CQ005.
 *
 * All jobs are counted, from stored numbers and from the rows of the rest: see roll_up_jobs.
 */
create or replace function public.job_history_by_type(buckets integer default 24, bucket_hours integer default 1) returns jsonb
language plpgsql stable set search_path = '' set jit = off set plan_cache_mode = force_custom_plan as $$
declare
    shown_types constant integer := 6;
    at constant timestamptz := clock_timestamp();
    span constant interval := make_interval(hours => job_history_by_type.bucket_hours);
    first_bucket timestamptz;
    result jsonb;
begin
    if job_history_by_type.buckets is null or job_history_by_type.buckets not between 1 and 168 then
        perform cogo_internal.invalid_argument('buckets must be 1 to 168.');
    end if;
    if job_history_by_type.bucket_hours is null or job_history_by_type.bucket_hours not in (1, 24) then
        perform cogo_internal.invalid_argument('bucket_hours must be 1 or 24.');
    end if;
    first_bucket := date_bin(span, at, timestamptz 'epoch') - (job_history_by_type.buckets - 1) * span;
    with part as (
        select p.starts_at, p.tally from cogo_internal.stored_numbers(first_bucket, at, job_history_by_type.bucket_hours) p
        union all
        select greatest(r.from_time, b.start), n.tally
        from cogo_internal.uncounted_ranges(first_bucket, at) r
        join generate_series(first_bucket, at, span) as b (start) on b.start < r.until_time and b.start + span > r.from_time
        cross join lateral cogo_internal.job_numbers(greatest(r.from_time, b.start), least(r.until_time, b.start + span)) n
    ), counted as materialized (
        select date_bin(span, p.starts_at, first_bucket) as bucket, t.type, sum(t.n) as n
        from part p cross join lateral jsonb_to_recordset(p.tally) as t (type text, status text, n bigint)
        where t.status is not null
        group by 1, 2
    ), frequent as materialized (
        select c.type, row_number() over (order by sum(c.n) desc, c.type) as place from counted c group by c.type
    ), shown as materialized (
        select c.bucket, case when f.place <= shown_types then f.type end as type, least(f.place, shown_types + 1) as place,
            sum(c.n) as n
        from counted c join frequent f on f.type = c.type
        group by 1, 2, 3
    )
    select jsonb_build_object(
        'starts', (select jsonb_agg(b.start order by b.start) from generate_series(first_bucket, at, span) as b (start)),
        'types', (select coalesce(jsonb_agg(jsonb_build_object('type', k.type, 'counts', (
                select jsonb_agg(coalesce(s.n, 0) order by b.start)
                from generate_series(first_bucket, at, span) as b (start)
                left join shown s on s.bucket = b.start and s.place = k.place)) order by k.place), '[]')
            from (select distinct s.place, s.type from shown s) k))
    into result;
    return result;
end $$;

comment on function public.job_history_by_type is 'Finished jobs of the last hours or days, by type.';
