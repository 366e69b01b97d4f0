/*
 * How many jobs there are of each status. Up to count_limit they are counted; beyond it the planner's estimate is told,
 * which costs nothing however many there are.
 *
 * Returns {"queued": {"count", "exact"}, "running": …, "succeeded": …, "failed": …, "cancelled": …}.
 */
create or replace function public.count_jobs(count_limit integer default 10000) returns jsonb
language plpgsql set search_path = '' set jit = off set enable_seqscan = off as $$
declare
    word text;
    counted bigint;
    plan jsonb;
    answer jsonb := '{}';
begin
    foreach word in array array['queued', 'running', 'succeeded', 'failed', 'cancelled'] loop
        -- Spelled out, so that the partial index of that status is seen to fit.
        execute format('select count(*) from (select from public.jobs j where j.status = %L limit $1) capped', word)
        into counted using count_jobs.count_limit + 1;
        if counted > count_jobs.count_limit then
            execute format('explain (format json) select from public.jobs j where j.status = %L', word) into plan;
            counted := greatest(counted, (plan #>> '{0,Plan,Plan Rows}')::numeric::bigint);
        end if;
        answer := answer || jsonb_build_object(word, jsonb_build_object(
            'count', counted, 'exact', counted <= count_jobs.count_limit));
    end loop;
    return answer;
end $$;

comment on function public.count_jobs is 'How many jobs there are of each status.';
