/*
 * Set how many bytes the JSON text of a payload or a result may have, for every caller of this database, SQL included.
 *
 * max_bytes   1,000 to 100,000,000; null leaves it as it is
 *
 * Returns {"max_payload_bytes", "changed"}. Errors: CQ005.
 */
create or replace function public.set_payload_limit(max_bytes integer default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    changed boolean;
begin
    if set_payload_limit.max_bytes not between 1000 and 100000000 then
        perform cogo_internal.invalid_argument('max_bytes must be 1000 to 100000000.');
    end if;
    update public.deployment d set max_payload_bytes = set_payload_limit.max_bytes
    where d.max_payload_bytes <> set_payload_limit.max_bytes;
    changed := found;
    return jsonb_build_object('changed', changed, 'max_payload_bytes', (select d.max_payload_bytes from public.deployment d limit 1));
end $$;

comment on function public.set_payload_limit is 'Set how many bytes a payload or a result may have.';
