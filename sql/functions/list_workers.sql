/*
 * Worker instances, newest first, with their device. `alive`: see worker_is_alive. `running`: the jobs that it runs.
 *
 * before   {"started_at", "instance_id"} of the last instance of the previous page, for the next page
 *
 * Each call is planned for its filters: live workers are found by the index workers_alive.
 */
create or replace function public.list_workers(
    alive_only boolean default false, before jsonb default null, max_workers integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    page uuid[];
begin
    if list_workers.alive_only then
        page := array(
            select w.instance_id from public.workers w
            where w.stopped_at is null and w.last_heartbeat_at > clock_timestamp() - interval '3 days'
              and cogo_internal.worker_is_alive(w)
              and (list_workers.before is null
                   or (w.started_at, w.instance_id) < ((list_workers.before ->> 'started_at')::timestamptz,
                                                       (list_workers.before ->> 'instance_id')::uuid))
            order by w.started_at desc, w.instance_id desc
            limit least(list_workers.max_workers, 1000));
    else
        page := array(
            select w.instance_id from public.workers w
            where list_workers.before is null
               or (w.started_at, w.instance_id) < ((list_workers.before ->> 'started_at')::timestamptz,
                                                   (list_workers.before ->> 'instance_id')::uuid)
            order by w.started_at desc, w.instance_id desc
            limit least(list_workers.max_workers, 1000));
    end if;
    return (
        select coalesce(jsonb_agg(to_jsonb(listed) - 'started_job_ids' || jsonb_build_object('running', coalesce(held.n, 0))
                                  order by listed.started_at desc, listed.instance_id desc), '[]')
        from (
            select w.*, d.device, case when m.instance_id is not null then cogo_internal.valid_counters(m.counters) end as counters,
                cogo_internal.worker_is_alive(w) as alive
            from public.workers w
            left join public.worker_devices d on d.worker_id = w.worker_id
            left join public.worker_metrics m on m.instance_id = w.instance_id
            where w.instance_id = any (page)
        ) listed
        left join cogo_internal.running_jobs() held using (instance_id));
end $$;

comment on function public.list_workers is 'Worker instances, newest first.';
