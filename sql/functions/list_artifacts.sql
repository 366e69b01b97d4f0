/*
 * Artifacts, newest first. Every filter may be null; type_prefix and executor_id are those of the job, if it still exists.
 *
 * before   {"created_at", "id"} of the last artifact of the previous page, for the next page
 *
 * With type_prefix or executor_id, one call reads at most the newest 20,000 artifacts of each status.
 */
create or replace function public.list_artifacts(
    job_id uuid default null, status text default null, type_prefix text default null, executor_id text default null,
    since_seconds double precision default null, before jsonb default null, max_artifacts integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    size constant integer := least(list_artifacts.max_artifacts, 1000);
    max_read constant integer := case
        when list_artifacts.type_prefix is null and list_artifacts.executor_id is null then size else 20000 end;
    sources text[];
    result jsonb;
begin
    -- Each status by its own index; those of one job by the job's.
    sources := array(
        select format('(select s.* from (
                select a.* from public.artifacts a
                where a.status = %L and %s
                  and ($2 is null or a.created_at >= $2)
                  and ($3 is null or a.created_at <= $3 and (a.created_at, a.id) < ($3, $4))
                order by a.created_at desc, a.id desc limit $5) s
            where $6 is null and $7 is null or exists (
                select from public.jobs j where j.id = s.job_id
                  and ($6 is null or starts_with(j.type, $6)) and ($7 is null or j.executor_id = $7))
            limit $8)', known, case when list_artifacts.job_id is null then 'true' else 'a.job_id = $1' end)
        from unnest('{ready,pending,orphaned,expired}'::text[]) as known
        where list_artifacts.status is null or known = list_artifacts.status);
    if sources = '{}' then
        return '[]';
    end if;
    execute format('
        select jsonb_agg(cogo_internal.artifact_row(row(f.*)::public.artifacts) order by f.created_at desc, f.id desc)
        from (select e.* from (%s) e order by e.created_at desc, e.id desc limit $8) f', array_to_string(sources, ' union all '))
    into result
    using list_artifacts.job_id, at - make_interval(secs => list_artifacts.since_seconds),
          (list_artifacts.before ->> 'created_at')::timestamptz, (list_artifacts.before ->> 'id')::uuid,
          max_read, list_artifacts.type_prefix, list_artifacts.executor_id, size;
    return coalesce(result, '[]');
end $$;

comment on function public.list_artifacts is 'Artifacts, newest first, filtered.';
