/*
 * Record which prefetched jobs a worker instance is running now; the list replaces the previous one.
 * recover_leases counts an attempt only for these. Returns {"recorded"}. Errors: none.
 */
create or replace function public.start_jobs(instance_id uuid, job_ids jsonb) returns jsonb
language sql set search_path = '' as $$
    with recorded as (
        update public.workers w
        set started_job_ids = array(select value::uuid from jsonb_array_elements_text(start_jobs.job_ids))
        where w.instance_id = start_jobs.instance_id
        returning cardinality(w.started_job_ids) as n
    )
    select jsonb_build_object('recorded', coalesce((select n from recorded), 0))
$$;

comment on function public.start_jobs is 'Record which prefetched jobs are running now.';
