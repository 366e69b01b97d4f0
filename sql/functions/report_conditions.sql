/*
 * Report all lasting failures that one reporter detects now, such as a sensor that raises or an executor that cannot be
 * loaded. evaluate_alerts raises an alert for each; the alert is resolved when the failure is missing from the next
 * report.
 *
 * scope        The reporter, so that reporters do not resolve each other's conditions
 * conditions   [{"kind", "subject", "title", "error_message" or null}], redacted by the caller; kinds as in
 *              raise_condition_alerts
 *
 * Returns {"reported"}. Errors: CQ005.
 */
create or replace function public.report_conditions(scope text, conditions jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    reported integer;
begin
    if coalesce(report_conditions.scope, '') = '' or jsonb_typeof(report_conditions.conditions) is distinct from 'array'
       or jsonb_array_length(report_conditions.conditions) > 1000 then
        perform cogo_internal.invalid_argument('scope must not be empty, and conditions must be an array of at most 1,000 objects.');
    end if;
    if jsonb_path_exists(report_conditions.conditions,
        '$[*] ? (!(@.kind == "sensor_failing" || @.kind == "executor_unavailable" || @.kind == "no_worker_for_family"))') then
        perform cogo_internal.invalid_argument('kind must be sensor_failing, executor_unavailable or no_worker_for_family.');
    end if;
    -- One report of a scope at a time, so that rows are locked in one order.
    perform pg_advisory_xact_lock(hashtextextended('cogo report_conditions ' || report_conditions.scope, 0));
    insert into public.watched_conditions as w (scope, kind, subject, title, error_message, began_at, seen_at)
    select distinct on (c.kind, c.subject) left(report_conditions.scope, 200), c.kind, coalesce(left(c.subject, 200), ''),
        left(coalesce(c.title, c.kind), 300), left(c.error_message, 1000), at, at
    from jsonb_to_recordset(report_conditions.conditions) as c (kind text, subject text, title text, error_message text)
    order by c.kind, c.subject
    on conflict on constraint watched_conditions_pkey do update set
        title = excluded.title, error_message = excluded.error_message, seen_at = at;
    get diagnostics reported = row_count;
    delete from public.watched_conditions w where w.scope = left(report_conditions.scope, 200) and w.seen_at < at;
    return jsonb_build_object('reported', reported);
end $$;

comment on function public.report_conditions is 'Report all lasting failures that one reporter detects now.';
