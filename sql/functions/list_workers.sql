/*
 * Worker instances, newest first, with their device. `alive`: see worker_is_alive.
 *
 * before   {"started_at", "instance_id"} of the last instance of the previous page, for the next page
 */
create or replace function public.list_workers(
    alive_only boolean default false, before jsonb default null, max_workers integer default 50
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(page) - 'started_job_ids' order by page.started_at desc, page.instance_id desc), '[]')
    from (
        select w.*, d.device, case when m.instance_id is not null then cogo_internal.valid_counters(m.counters) end as counters,
            cogo_internal.worker_is_alive(w) as alive
        from public.workers w
        left join public.worker_devices d on d.worker_id = w.worker_id
        left join public.worker_metrics m on m.instance_id = w.instance_id
        where (not list_workers.alive_only or w.stopped_at is null and cogo_internal.worker_is_alive(w))
          and (list_workers.before is null
               or (w.started_at, w.instance_id) < ((list_workers.before ->> 'started_at')::timestamptz,
                                                   (list_workers.before ->> 'instance_id')::uuid))
        order by w.started_at desc, w.instance_id desc
        limit least(list_workers.max_workers, 1000)
    ) page
$$;

comment on function public.list_workers is 'Worker instances, newest first.';
