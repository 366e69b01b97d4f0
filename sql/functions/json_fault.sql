/*
 * Why a document is rejected, as a phrase that follows its name; null if it is valid. Its text may have the bytes that
 * set_payload_limit allows (1,000,000), it may be nested 100 deep, and no number in it may have more than 300 digits: what
 * every client can decode.
 *
 * Checked in this order, since each check bounds the cost of the next one: 12 bytes hold a number of 131,000 digits.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.json_fault(document jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
    written text;
    max_bytes integer;
begin
    if jsonb_path_exists(json_fault.document, 'strict $.**{100} ? (@.type() == "object" || @.type() == "array")') then
        return 'is nested deeper than 100';
    end if;
    if pg_column_size(json_fault.document) > 2000
       and jsonb_path_exists(json_fault.document, 'strict $.** ? (@.type() == "number" && (@ >= 1e300 || @ <= -1e300))') then
        return 'has a number of more than 300 digits';
    end if;
    written := json_fault.document::text;
    if octet_length(written) > 1000 then
        max_bytes := coalesce((select d.max_payload_bytes from public.deployment d limit 1), 1000000);
        if octet_length(written) > max_bytes then
            return format('has %s bytes, and at most %s are allowed', octet_length(written), max_bytes);
        end if;
    end if;
    if written ~ '[0-9.]{255}' and exists (
        select from jsonb_path_query(json_fault.document, 'strict $.** ? (@.type() == "number")') as number
        where length(translate(number::text, '-.', '')) > 300)
    then
        return 'has a number of more than 300 digits';
    end if;
    return null;
end $$;

comment on function cogo_internal.json_fault is 'Why a document is rejected; null if it is valid.';
