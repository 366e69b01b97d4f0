/*
 * The number of running jobs of each worker instance that has any.
 *
 * Inlined, so that the planner reads the index jobs_lease. Internal: other functions call it.
 */
create or replace function cogo_internal.running_jobs() returns table (instance_id uuid, n bigint)
language sql stable as $$
    select j.instance_id, pg_catalog.count(*) from public.jobs j where j.status = 'running' and j.instance_id is not null group by 1
$$;

comment on function cogo_internal.running_jobs is 'The number of running jobs of each worker instance.';
