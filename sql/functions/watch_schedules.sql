/*
 * Record the running schedules, and when each is due next after its last tick. Called every minute or so while Dagster
 * runs; evaluate_alerts finds late ones, even if the calls stop. Schedules that are left out are no longer watched.
 *
 * schedules   [{"name", "due_in_seconds", "last_tick_seconds_ago" or null, "error" or null}], errors redacted by the caller
 *
 * Returns {"watched"}. Errors: CQ005.
 */
create or replace function public.watch_schedules(schedules jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
begin
    if jsonb_typeof(watch_schedules.schedules) is distinct from 'array' then
        perform cogo_internal.invalid_argument('schedules must be an array such as [{"name": "nightly", "due_in_seconds": 60}].');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('cogo watch_schedules', 0));
    insert into public.watched_schedules as w (name, due_at, last_tick_at, error, seen_at)
    select distinct on (s.name) s.name, at + make_interval(secs => s.due_in_seconds),
           at - make_interval(secs => s.last_tick_seconds_ago), left(s.error, 1000), at
    from jsonb_to_recordset(watch_schedules.schedules) as s (
        name text, due_in_seconds double precision, last_tick_seconds_ago double precision, error text)
    order by s.name
    on conflict (name) do update set
        due_at = excluded.due_at, last_tick_at = excluded.last_tick_at, error = excluded.error, seen_at = at;
    delete from public.watched_schedules w
    where not watch_schedules.schedules @> jsonb_build_array(jsonb_build_object('name', w.name));
    return jsonb_build_object('watched', (select count(*) from public.watched_schedules));
end $$;

comment on function public.watch_schedules is 'Record the running schedules, and when each is due.';
