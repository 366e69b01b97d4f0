/*
 * Worker starts, newest first, with their device. `alive`: see worker_is_alive.
 */
create or replace function public.list_workers(alive_only boolean default false, max_workers integer default 50) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(found) - 'started_job_ids' order by found.started_at desc), '[]')
    from (
        select w.*, d.device, m.counters,
            public.worker_is_alive(w) as alive
        from public.workers w
        left join public.worker_devices d on d.worker_id = w.worker_id
        left join public.worker_metrics m on m.instance_id = w.instance_id
        where not list_workers.alive_only or public.worker_is_alive(w)
        order by w.started_at desc
        limit least(list_workers.max_workers, 1000)
    ) found
$$;

comment on function public.list_workers is 'Worker starts, newest first.';
