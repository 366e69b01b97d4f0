/*
 * Open the circuit of an external service: no call is granted for open_seconds, because the service requested a pause
 * or is unreachable. Safe to repeat: a circuit that is already open until a later time is left unchanged.
 *
 * open_seconds   0 to 31,536,000
 * reason         a message without secrets, shown to operators
 *
 * Returns {"name", "open_until"}. Errors: CQ005.
 */
create or replace function public.open_circuit(name text, open_seconds double precision, reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    until timestamptz;
begin
    perform cogo_internal.check_rate_name(open_circuit.name);
    if (open_circuit.open_seconds >= 0 and open_circuit.open_seconds <= 31536000) is not true then
        perform cogo_internal.invalid_argument('open_seconds must be 0 to 31536000.');
    end if;
    insert into public.rate_limits as r (name, open_until, reason)
    values (open_circuit.name, clock_timestamp() + make_interval(secs => open_circuit.open_seconds),
            left(open_circuit.reason, 500))
    on conflict on constraint rate_limits_pkey do update set
        reason = case when r.open_until >= excluded.open_until then r.reason else excluded.reason end,
        open_until = greatest(r.open_until, excluded.open_until)
    returning r.open_until into until;
    return jsonb_build_object('name', open_circuit.name, 'open_until', until);
end $$;

comment on function public.open_circuit is 'Open the circuit of an external service for a while.';
