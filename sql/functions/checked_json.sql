/*
 * Return the document if it is within the limits of json_fault. `name` begins the error message.
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.checked_json(document jsonb, name text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    fault constant text := cogo_internal.json_fault(checked_json.document);
begin
    if fault is not null then
        perform cogo_internal.invalid_argument(format('%s %s.', checked_json.name, fault));
    end if;
    return checked_json.document;
end $$;

comment on function cogo_internal.checked_json is 'Return a document that is within the limits, or raise CQ005.';
