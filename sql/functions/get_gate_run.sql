/*
 * A gate run by id, as list_gate_runs returns it; null if there is none.
 */
create or replace function public.get_gate_run(gate_run_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select cogo_internal.gate_run_row(r) from public.gate_runs r where r.id = get_gate_run.gate_run_id
$$;

comment on function public.get_gate_run is 'A gate run by id.';
