/*
 * A part of evaluate_alerts: raise an alert for each family and executor ID with jobs that are stranded, and due for longer
 * than stranded_seconds; it is resolved when there are none. Within two minutes of a restart of the database, in which
 * no heartbeat arrived, no alert is raised. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_stranded_alerts(stranded_seconds double precision) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    found jsonb;
    lane record;
    raised integer := 0;
begin
    select coalesce(jsonb_agg(r), '[]') into found
    from jsonb_array_elements(public.explain_queue(max_reasons => 1000) -> 'reasons') as r
    where (r ->> 'stranded')::boolean and (r ->> 'oldest_seconds')::double precision > raise_stranded_alerts.stranded_seconds;
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'jobs_stranded' and a.status = 'firing'
                and not exists (select from jsonb_array_elements(found) as r
                                where a.subject = left(concat_ws(' ', r ->> 'family', r ->> 'executor_id'), 200))),
        'Its jobs were claimed or cancelled, or a worker for them is alive.');
    if pg_postmaster_start_time() > at - interval '2 minutes' then
        return 0;
    end if;
    for lane in
        select r ->> 'family' as family, r ->> 'executor_id' as executor_id, r ->> 'why' as why,
            (r ->> 'count')::bigint as jobs, (r ->> 'oldest_seconds')::double precision as oldest_seconds,
            left(concat_ws(' ', r ->> 'family', r ->> 'executor_id'), 200) as subject
        from jsonb_array_elements(found) as r
        where not exists (select from public.alerts a
                          where a.kind = 'jobs_stranded' and a.status = 'firing'
                            and a.subject = left(concat_ws(' ', r ->> 'family', r ->> 'executor_id'), 200))
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('jobs_stranded', lane.subject), 'jobs_stranded', lane.subject,
            format('No live worker can claim the due %s jobs%s', lane.family, ' of executor ID ' || lane.executor_id), lane.why,
            format('Due jobs: %s, the oldest for %s. %s. `cogo stats` says what a worker needs.',
                   lane.jobs || case when lane.jobs < 10000 then '' else '+' end,  -- counted up to this number
                   case when lane.oldest_seconds < 7200 then round(lane.oldest_seconds / 60) || ' min'
                       when lane.oldest_seconds < 172800 then round(lane.oldest_seconds / 3600) || ' h'
                       else round(lane.oldest_seconds / 86400) || ' d' end,
                   case lane.why when 'no_worker' then 'No worker is alive'
                       when 'no_executor' then format('No live worker runs the family %s', lane.family)
                       else format('No live worker serves the executor ID %s', lane.executor_id) end),
            1, at - make_interval(secs => lane.oldest_seconds), at,
            jsonb_build_object('family', lane.family, 'executor_id', lane.executor_id));
        raised := raised + 1;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_stranded_alerts is 'Raise alerts for stranded jobs.';
