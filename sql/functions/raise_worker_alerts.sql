/*
 * A part of evaluate_alerts: raise an alert for each worker that fell silent within the last day without being stopped,
 * until it is alive again or was replaced: see worker_is_replaced. Workers with the same name are counted each. Within two
 * minutes of a restart of the database, silence is ignored. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_worker_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    silent record;
    raised integer := 0;
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'worker_dead' and a.status = 'firing'
                -- By the index workers_ended: there may be many earlier workers of the name.
                and (exists (select from public.workers w where w.worker_id = a.subject and w.stopped_at > a.first_seen_at)
                     or exists (select from public.workers w where w.worker_id = a.subject and w.stopped_at is null
                                and cogo_internal.worker_is_alive(w)))
                and not exists (
                    select from public.workers w
                    where w.worker_id = a.subject and w.stopped_at is null and not cogo_internal.worker_is_alive(w)
                      and w.last_heartbeat_at > a.first_seen_at - interval '1 day'
                      and not cogo_internal.worker_is_replaced(w))),
        'It is alive again, a worker of its name was started after it, or it was stopped.');
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'worker_dead' and a.status = 'firing' and a.last_seen_at < at - interval '1 day'),
        'The worker has sent no heartbeat for a day and is considered gone.');
    if pg_postmaster_start_time() > at - interval '2 minutes' then
        return 0;
    end if;
    for silent in
        with unseen as materialized (
            select w.* from public.workers w
            where w.stopped_at is null and w.last_heartbeat_at > at - interval '1 day'
              and (w.stuck_reason is not null
                   or w.last_heartbeat_at < at - greatest(3 * make_interval(secs => least(greatest(w.heartbeat_seconds, 0), 86400)), interval '45 seconds'))
              and not cogo_internal.worker_is_replaced(w)
        ), marked as (
            -- Each silence of an instance is counted once, even if its alert was resolved after a day.
            insert into public.alert_promotions (source, key)
            select 'workers', concat_ws(' ', u.instance_id, u.last_heartbeat_at) from unseen u
            on conflict do nothing
            returning key
        )
        select w.worker_id, count(*) as instances, max(w.last_heartbeat_at) as last_heartbeat_at,
            (array_agg(w.dagster_run_id order by w.last_heartbeat_at desc))[1] as run_id,
            (array_agg(w.instance_id order by w.last_heartbeat_at desc))[1] as instance_id,
            (array_agg(w.stuck_reason order by w.last_heartbeat_at desc))[1] as stuck_reason,
            exists (select from public.workers twin where twin.worker_id = w.worker_id and twin.stopped_at is null and cogo_internal.worker_is_alive(twin)) as has_twin
        from unseen w join marked m on m.key = concat_ws(' ', w.instance_id, w.last_heartbeat_at)
        group by w.worker_id
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('worker_dead', silent.worker_id), 'worker_dead', silent.worker_id,
            format(case when silent.stuck_reason is null then 'Worker %s is silent' else 'Worker %s was stuck and ended itself' end,
                   silent.worker_id), 'worker_dead',
            coalesce(silent.stuck_reason || ' Its jobs are recovered when their leases expire.', 'The worker stopped sending heartbeats without a shutdown: it crashed, was killed or lost its connection. Its jobs are recovered when their leases expire.')
                || case when silent.has_twin then ' Another worker with this name is alive; set WORKER_ID to distinguish them.' else '' end,
            silent.instances, at, at, jsonb_strip_nulls(jsonb_build_object('run_id', silent.run_id, 'instance_id', silent.instance_id)));
        raised := raised + 1;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_worker_alerts is 'Raise alerts for workers that fell silent.';
