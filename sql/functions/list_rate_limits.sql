/*
 * Rate limits by name, with `open_until` and `reason` of open circuits.
 *
 * open_only   only those whose circuit is open
 */
create or replace function public.list_rate_limits(open_only boolean default false) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    select jsonb_agg(jsonb_build_object('name', r.name, 'open_until', case when r.open_until > at then r.open_until end,
        'reason', case when r.open_until > at then r.reason end) order by r.name)
    into result from public.rate_limits r where r.open_until > at or not list_rate_limits.open_only;
    return coalesce(result, '[]');
end $$;

comment on function public.list_rate_limits is 'Rate limits, and which circuits are open.';
