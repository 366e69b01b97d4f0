/*
 * Close the circuit of an external service, so that calls are granted again. A closed or unknown circuit is left
 * unchanged. Up to 10,000 snoozed jobs of the family that the name begins with, such as figma of figma:…:tier1, become due.
 *
 * Returns {"name", "open_until", "due"}, where `open_until` is null and `due` the number of those jobs. Errors: CQ005.
 */
create or replace function public.close_circuit(name text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    due integer;
begin
    perform cogo_internal.check_rate_name(close_circuit.name);
    update public.rate_limits r set open_until = null, reason = null where r.name = close_circuit.name;
    with snoozed as materialized (
        select j.id from public.jobs j
        where j.status = 'queued' and j.family = split_part(close_circuit.name, ':', 1)
          and j.next_run_at > clock_timestamp() and j.error ->> 'class' = 'snoozed'
        order by j.id limit 10000 for update skip locked
    ), woken as (
        update public.jobs j set next_run_at = clock_timestamp() from snoozed s where j.id = s.id returning 1
    )
    select count(*) into due from woken;
    return jsonb_build_object('name', close_circuit.name, 'open_until', null, 'due', due);
end $$;

comment on function public.close_circuit is 'Close the circuit of an external service.';
