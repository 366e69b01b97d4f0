/*
 * Close the circuit of an external service, so that calls are granted again. A closed or unknown circuit is left
 * unchanged. Returns {"name", "open_until"}, where `open_until` is null. Errors: CQ005.
 */
create or replace function public.close_circuit(name text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    perform cogo_internal.check_rate_name(close_circuit.name);
    update public.rate_limits r set open_until = null, reason = null where r.name = close_circuit.name;
    return jsonb_build_object('name', close_circuit.name, 'open_until', null);
end $$;

comment on function public.close_circuit is 'Close the circuit of an external service.';
