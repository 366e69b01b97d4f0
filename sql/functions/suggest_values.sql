/*
 * Values to suggest for a filter of query_jobs, in alphabetical order: those of the newest 2,000 jobs, the newest 1,000
 * workers or dead-lettered jobs, and the newest bulk actions. Error classes come from all jobs.
 *
 * key      types, families, executor_ids, error_classes, causes, worker_ids, hosts, releases or action_id; none for others
 * prefix   only values that begin with it
 *
 * Returns ["…", …], at most 20.
 */
create or replace function public.suggest_values(key text, prefix text default '') returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off set jit = off as $$
declare
    begins constant text := coalesce(suggest_values.prefix, '');
    found text[];
begin
    case
        when suggest_values.key in ('types', 'families', 'executor_ids') then
            found := array(
                select distinct v.value
                from (select j.type, j.family, j.executor_id from public.jobs j order by j.id desc limit 2000) n
                cross join lateral (select case suggest_values.key when 'types' then n.type when 'families' then n.family else n.executor_id end) as v (value)
                where starts_with(v.value, begins) order by 1 limit 20);
        when suggest_values.key = 'error_classes' then
            found := array(
                with recursive class (name) as (
                    (select j.error ->> 'class' from public.jobs j
                     where j.error is not null and j.error ->> 'class' >= begins order by j.error ->> 'class' limit 1)
                    union all
                    (select n.name from class c cross join lateral (
                        select j.error ->> 'class' as name from public.jobs j
                        where j.error is not null and j.error ->> 'class' > c.name order by j.error ->> 'class' limit 1) n)
                )
                select c.name from class c where starts_with(c.name, begins) limit 20);
        when suggest_values.key in ('worker_ids', 'hosts') then
            found := array(
                select distinct v.value
                from (select w.worker_id, w.hostname from public.workers w order by w.started_at desc, w.instance_id desc limit 1000) n
                cross join lateral (select case suggest_values.key when 'hosts' then n.hostname else n.worker_id end) as v (value)
                where starts_with(v.value, begins) order by 1 limit 20);
        when suggest_values.key in ('causes', 'releases') then
            found := array(
                select distinct v.value
                from (select d.fingerprint, d.code_version from public.jobs_dlq d where not d.superseded
                      order by d.failed_at desc, d.job_id desc limit 1000) n
                cross join lateral (select case suggest_values.key when 'causes' then n.fingerprint else n.code_version end) as v (value)
                where starts_with(v.value, begins) order by 1 limit 20);
        when suggest_values.key = 'action_id' then
            found := array(
                select right(b.id::text, 8) from public.bulk_actions b where right(b.id::text, 8) ^@ begins
                order by b.created_at desc limit 20);
        else found := '{}';
    end case;
    return to_jsonb(found);
end $$;

comment on function public.suggest_values is 'Values to suggest for a filter of jobs.';
