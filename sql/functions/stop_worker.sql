/*
 * Record the graceful shutdown of a worker instance: its heartbeats end here. Its row stays, for the attempts that refer
 * to it. Errors: none.
 */
create or replace function public.stop_worker(instance_id uuid) returns jsonb
language sql set search_path = '' as $$
    with stopped as (
        update public.workers w set stopped_at = clock_timestamp(), idle = false, running = 0, started_job_ids = '{}'
        where w.instance_id = stop_worker.instance_id
        returning 1
    )
    select jsonb_build_object('changed', (select count(*) from stopped))
$$;

comment on function public.stop_worker is 'Record the graceful shutdown of a worker instance.';
