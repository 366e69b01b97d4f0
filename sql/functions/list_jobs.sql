/*
 * Jobs, newest first. Every filter may be null.
 *
 * statuses        ["queued", "failed"]
 * type_prefix     "browser" matches browser and browser.pdf
 * since_seconds   created within this many seconds
 * before_id       the last id of the previous page, for the next page
 *
 * One call reads at most the newest 100,000 jobs; if the statuses do not include succeeded, the newest 5,000 of each status.
 * If it stops there before its page is full, a notice says so; query_jobs returns where the next call continues.
 *
 * Each call is planned for its filters: a generic plan read the whole table even without a filter.
 */
create or replace function public.list_jobs(
    statuses jsonb default null, type_prefix text default null, executor_id text default null,
    since_seconds double precision default null, before_id uuid default null, max_jobs integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    few constant integer := 10000;
    at timestamptz := clock_timestamp();
    wanted text[] := array(select distinct jsonb_array_elements_text(list_jobs.statuses));
    unknown text;
    chosen text;
    condition text;
    newest text;
    cuts text[] := '{}';
    sources text[] := '{}';
    found_count integer;
    max_read integer;
    is_cut boolean;
    result jsonb;
begin
    select s into unknown from unnest(wanted) s where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled');
    if unknown is not null then
        perform cogo_internal.invalid_argument(format(
            'The status %s is unknown: use queued, running, succeeded, failed or cancelled.', quote_literal(unknown)));
    end if;
    -- Each status by its own index, unless most jobs have it. Failed and cancelled jobs are filtered without their rows, by
    -- the columns of the index jobs_unsuccessful_listed.
    foreach chosen in array case when cardinality(wanted) = 0 or 'succeeded' = any (wanted) then '{any}' else wanted end loop
        condition := case
            when chosen = 'any' then 'true'
            when chosen = 'queued' and few <= (select count(*) from (select from public.jobs j where j.status = 'queued' limit few) q)
                then 'true'
            else format('j.status = %L', chosen) end;
        max_read := case when condition = 'true' then 100000 else 5000 end;
        newest := format('from public.jobs j where %s and ($5 is null or j.id < $5) order by j.id desc', condition);
        cuts := cuts || format('exists (select %s offset %s)', newest, max_read);
        sources := sources || format(
            '(select s.id from (select j.id, j.status, j.type, j.executor_id, j.created_at %s limit %s) s
              where (cardinality($1) = 0 or s.status = any ($1)) and (%3$L = ''any'' or s.status = %3$L)
                and ($2 is null or starts_with(s.type, $2)) and ($3 is null or s.executor_id = $3)
                and ($4 is null or s.created_at >= $4)
              limit $6)', newest, max_read, chosen);
    end loop;
    execute format('select jsonb_agg(cogo_internal.job_row(j) order by j.id desc), count(*)
                    from (select e.id from (%s) e order by e.id desc limit $6) f join public.jobs j on j.id = f.id',
                   array_to_string(sources, ' union all '))
    into result, found_count
    using wanted, list_jobs.type_prefix, list_jobs.executor_id, at - make_interval(secs => list_jobs.since_seconds),
          list_jobs.before_id, least(list_jobs.max_jobs, 1000);
    if found_count < least(list_jobs.max_jobs, 1000) then
        execute 'select ' || array_to_string(cuts, ' or ') into is_cut using wanted, null, null, null, list_jobs.before_id;
        if is_cut then
            raise notice 'Only the newest jobs were read: use query_jobs, which returns where the next call continues.';
        end if;
    end if;
    return coalesce(result, '[]');
end $$;

comment on function public.list_jobs is 'Jobs, newest first, filtered.';
