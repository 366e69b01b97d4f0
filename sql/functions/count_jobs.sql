/*
 * The number of jobs of each status: exact up to count_limit; above it the planner's estimate, which costs the same for
 * any number.
 *
 * Returns {"queued": {"count", "exact"}, "running": …, "succeeded": …, "failed": …, "cancelled": …}.
 */
create or replace function public.count_jobs(count_limit integer default 10000) returns jsonb
language plpgsql set search_path = '' set jit = off set enable_seqscan = off as $$
declare
    status_name text;
    counted bigint;
    plan jsonb;
    result jsonb := '{}';
begin
    foreach status_name in array array['queued', 'running', 'succeeded', 'failed', 'cancelled'] loop
        -- A literal, so that the planner can use the partial index of that status.
        execute format('select count(*) from (select from public.jobs j where j.status = %L limit $1) capped', status_name)
        into counted using count_jobs.count_limit + 1;
        if counted > count_jobs.count_limit then
            execute format('explain (format json) select from public.jobs j where j.status = %L', status_name) into plan;
            counted := greatest(counted, (plan #>> '{0,Plan,Plan Rows}')::numeric::bigint);
        end if;
        result := result || jsonb_build_object(status_name, jsonb_build_object(
            'count', counted, 'exact', counted <= count_jobs.count_limit));
    end loop;
    return result;
end $$;

comment on function public.count_jobs is 'The number of jobs of each status.';
