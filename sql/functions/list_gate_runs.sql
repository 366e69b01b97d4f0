/*
 * Gate runs, newest first. Every filter may be null.
 *
 * since_seconds   recorded within this many seconds
 * before          {"created_at", "gate_run_id"} of the last run of the previous page, for the next page
 */
create or replace function public.list_gate_runs(
    type text default null, branch text default null, status text default null,
    since_seconds double precision default null, before jsonb default null, max_runs integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    select jsonb_agg(cogo_internal.gate_run_row(page.run) order by (page.run).created_at desc, (page.run).id desc) into result
    from (
        select r as run from public.gate_runs r
        where (list_gate_runs.type is null or r.type = list_gate_runs.type)
          and (list_gate_runs.branch is null or r.branch = list_gate_runs.branch)
          and (list_gate_runs.status is null or r.status = list_gate_runs.status)
          and (list_gate_runs.since_seconds is null or r.created_at >= at - make_interval(secs => list_gate_runs.since_seconds))
          and (list_gate_runs.before is null
               or (r.created_at, r.id) < ((list_gate_runs.before ->> 'created_at')::timestamptz,
                                          (list_gate_runs.before ->> 'gate_run_id')::uuid))
        order by r.created_at desc, r.id desc
        limit least(list_gate_runs.max_runs, 1000)
    ) page;
    return coalesce(result, '[]');
end $$;

comment on function public.list_gate_runs is 'Gate runs, newest first, filtered.';
