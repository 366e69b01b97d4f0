/*
 * Jobs, newest first. Every filter may be null.
 *
 * statuses        ["queued", "failed"]
 * type_prefix     "browser" matches browser and browser.pdf
 * since_seconds   created within this many seconds
 * before_id       the last id of the previous page, for the next page
 *
 * Each call is planned for its filters: a generic plan read the whole table even without a filter. With a filter that few
 * jobs match it may read all of them: search_jobs reads at most 20,000 per call.
 */
create or replace function public.list_jobs(
    statuses jsonb default null, type_prefix text default null, executor_id text default null,
    since_seconds double precision default null, before_id uuid default null, max_jobs integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    wanted text[] := array(select jsonb_array_elements_text(list_jobs.statuses));
    unknown text;
    source text;
    conditions constant text := '($2 is null or starts_with(j.type, $2)) and ($3 is null or j.executor_id = $3)
        and ($4 is null or j.created_at >= $4) and ($5 is null or j.id < $5) order by j.id desc limit $6';
    result jsonb;
begin
    select s into unknown from unnest(wanted) s where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled');
    if unknown is not null then
        perform cogo_internal.invalid_argument(format(
            'The status %s is unknown: use queued, running, succeeded, failed or cancelled.', quote_literal(unknown)));
    end if;
    -- Failed and cancelled jobs by the index jobs_unsuccessful, running ones by jobs_lease, each status separately.
    source := case
        when wanted <@ '{failed,cancelled,running}' and cardinality(wanted) > 0 then (
            select string_agg(format('(select j as job from public.jobs j where j.status = %L and %s)', w.status, conditions),
                              ' union all ')
            from (select distinct unnest(wanted) as status) w)
        else format('(select j as job from public.jobs j where (cardinality($1) = 0 or j.status = any ($1)) and %s)', conditions) end;
    execute format('select jsonb_agg(cogo_internal.job_row(f.job) order by (f.job).id desc)
                    from (select e.job from (%s) e order by (e.job).id desc limit $6) f', source)
    into result
    using wanted, list_jobs.type_prefix, list_jobs.executor_id, at - make_interval(secs => list_jobs.since_seconds),
          list_jobs.before_id, least(list_jobs.max_jobs, 1000);
    return coalesce(result, '[]');
end $$;

comment on function public.list_jobs is 'Jobs, newest first, filtered.';
