/*
 * Heartbeats of the last day, newest first; of one worker if `worker_id` is given.
 */
create or replace function public.list_heartbeats(worker_id text default null, max_heartbeats integer default 50) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'worker_id', found.worker_id, 'instance_id', found.instance_id, 'running', found.running,
        'counters', cogo_internal.valid_counters(found.metrics), 'created_at', found.created_at) order by found.created_at desc), '[]')
    from (
        select h.* from public.worker_heartbeats h
        where h.created_at > now() - interval '1 day'
          and (list_heartbeats.worker_id is null or h.worker_id = list_heartbeats.worker_id)
        order by h.created_at desc
        limit least(list_heartbeats.max_heartbeats, 1000)
    ) found
$$;

comment on function public.list_heartbeats is 'Heartbeats of the last day, newest first.';
