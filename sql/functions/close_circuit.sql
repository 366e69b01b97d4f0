/*
 * Grant calls of an outside service again. One that is closed, or was never heard of, stays so.
 * Returns {"name", "open_until"}, where `open_until` is null. Errors: CQ005.
 */
create or replace function public.close_circuit(name text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    perform cogo_internal.check_rate_name(close_circuit.name);
    update public.rate_limits r set open_until = null, reason = null where r.name = close_circuit.name;
    return jsonb_build_object('name', close_circuit.name, 'open_until', null);
end $$;

comment on function public.close_circuit is 'Grant calls of an outside service again.';
