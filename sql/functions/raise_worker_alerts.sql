/*
 * A part of evaluate_alerts: workers that fell silent within the last day without signing off are alerts, until a start
 * with their name is alive or signs off. Within two minutes of a restart of the database, silence says nothing.
 * Returns how many are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_worker_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    silent record;
    promoted integer := 0;
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'worker_dead' and a.status = 'firing' and exists (
                  select from public.workers w
                  where w.worker_id = a.subject and (cogo_internal.worker_is_alive(w) or w.stopped_at > a.first_seen_at))),
        'A worker of this name is alive again, or has signed off.');
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'worker_dead' and a.status = 'firing' and a.last_seen_at < at - interval '1 day'),
        'It has not come back for a day; it is taken for gone.');
    if pg_postmaster_start_time() > at - interval '2 minutes' then
        return 0;
    end if;
    for silent in
        select w.worker_id, max(w.last_heartbeat_at) as last_heartbeat_at,
            (array_agg(w.dagster_run_id order by w.last_heartbeat_at desc))[1] as run_id,
            (array_agg(w.stuck_reason order by w.last_heartbeat_at desc))[1] as stuck_reason
        from public.workers w
        where w.stopped_at is null and w.last_heartbeat_at > at - interval '1 day'
          and (w.stuck_reason is not null or w.last_heartbeat_at < at - greatest(3 * make_interval(secs => least(greatest(w.heartbeat_seconds, 0), 86400)), interval '45 seconds'))
          and not exists (select from public.workers other where other.worker_id = w.worker_id and cogo_internal.worker_is_alive(other))
          -- It was told of already: also where that alert is over, because it was taken for gone.
          and not exists (select from public.alerts a
                          where a.fingerprint = cogo_internal.alert_fingerprint('worker_dead', w.worker_id)
                            and a.first_seen_at >= w.last_heartbeat_at)
        group by w.worker_id
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('worker_dead', silent.worker_id), 'worker_dead', silent.worker_id,
            format(case when silent.stuck_reason is null then 'Worker %s is silent' else 'Worker %s was stuck and ended itself' end,
                   silent.worker_id), 'worker_dead',
            coalesce(silent.stuck_reason || ' Its jobs come back when their leases expire.', 'It sent no heartbeat and did not sign off: it crashed, was killed or is cut off. Its jobs come back by themselves.'),
            1, at, at, jsonb_strip_nulls(jsonb_build_object('run_id', silent.run_id)));
        promoted := promoted + 1;
    end loop;
    return promoted;
end $$;

comment on function cogo_internal.raise_worker_alerts is 'Workers that fell silent become alerts.';
