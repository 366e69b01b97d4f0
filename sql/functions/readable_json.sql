/*
 * A document as a page shows it: unchanged or, if it exceeds the limits of json_fault, {"unreadable": why}, so that no
 * page contains 60 MB or a number that a client cannot decode.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.readable_json(document jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    fault text;
begin
    if readable_json.document is null or cogo_internal.is_small_json(readable_json.document) then
        return readable_json.document;
    end if;
    fault := cogo_internal.json_fault(readable_json.document);
    if fault is null then
        return readable_json.document;
    end if;
    return jsonb_build_object('unreadable', format('It %s.', fault));
end $$;

comment on function cogo_internal.readable_json is 'A document as a page shows it.';
