/*
 * Heartbeats of the last day, newest first; of one worker if `worker_id` is given.
 */
create or replace function public.list_heartbeats(worker_id text default null, max_heartbeats integer default 50) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'worker_id', page.worker_id, 'instance_id', page.instance_id, 'running', page.running,
        'counters', cogo_internal.valid_counters(page.metrics), 'created_at', page.created_at) order by page.created_at desc), '[]')
    from (
        select h.* from public.worker_heartbeats h
        where h.created_at > now() - interval '1 day'
          and (list_heartbeats.worker_id is null or h.worker_id = list_heartbeats.worker_id)
        order by h.created_at desc
        limit least(list_heartbeats.max_heartbeats, 1000)
    ) page
$$;

comment on function public.list_heartbeats is 'Heartbeats of the last day, newest first.';
