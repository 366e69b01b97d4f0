/*
 * What `cogo doctor` reads from the database besides queue_stats.
 *
 * orphan_seconds   A running job whose lease expired longer ago than this counts as orphaned: no worker recovers it
 * key_ids          The ids of the vault keys that the caller has: ["0123456789ab"]
 * Returns {"now", "server_version", "connections", "max_connections", "silent_workers": the name of each worker that fell
 *          silent within a day, was not stopped and not replaced, "orphaned_jobs", "oldest_orphan_seconds",
 *          "held_snapshot": see the function, "secrets", "unreadable_secrets"}; the last counts the secrets that are encrypted with none of key_ids.
 */
create or replace function public.health_facts(orphan_seconds double precision default 300, key_ids jsonb default '[]') returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    orphaned bigint;
    oldest double precision;
begin
    select count(*), cogo_internal.seconds_between(min(j.lease_expires_at), at) into orphaned, oldest
    from public.jobs j
    where j.status = 'running'
      and j.lease_expires_at < at - make_interval(secs => least(greatest(health_facts.orphan_seconds, 0), 31536000));
    return jsonb_build_object(
        'now', at,
        'server_version', current_setting('server_version'),
        'connections', (select count(*) from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
        'max_connections', current_setting('max_connections')::integer,
        'silent_workers', (
            select coalesce(jsonb_agg(w.worker_id order by w.worker_id), '[]')
            from (select w.worker_id from public.workers w
                  where w.stopped_at is null and w.last_heartbeat_at > at - interval '1 day'
                    and not cogo_internal.worker_is_alive(w) and not cogo_internal.worker_is_replaced(w)
                  order by w.last_heartbeat_at desc limit 100) w),
        'orphaned_jobs', orphaned,
        'oldest_orphan_seconds', oldest,
        'held_snapshot', public.held_snapshot(),
        'secrets', (select count(*) from public.secrets),
        'unreadable_secrets', (select count(*) from public.secrets s
                               where not coalesce(health_facts.key_ids, '[]') @> to_jsonb(s.key_id)));
end $$;

comment on function public.health_facts is 'What `cogo doctor` reads from the database.';
