/*
 * The first UTC day that the numbers of days and weeks can cover: that of the creation of this deployment, or of its first
 * gate run or stored day, if that is earlier.
 *
 * Returns {"first_day": "2026-11-27"}. Errors: none.
 */
create or replace function public.first_day() returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('first_day', (least(
        (select min(d.created_at) from public.deployment d),
        (select min(g.created_at) from public.gate_runs g where g.created_at > '2000-01-01'),
        (select min(s.window_start) from public.gate_snapshots s where s.window_start > '2000-01-01')) at time zone 'UTC')::date)
$$;

comment on function public.first_day is 'The first day of the numbers of days and weeks.';
