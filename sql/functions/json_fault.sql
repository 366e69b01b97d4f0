/*
 * Why a document is not stored, as the end of a sentence that begins with its name; null where nothing is wrong with it.
 * Its text has at most the bytes that set_payload_limit allows (1,000,000), it is nested at most 100 deep, and no number
 * in it has more than 300 digits: what every client can decode.
 *
 * In this order, since each step bounds what the next one costs: 12 bytes hold a number of 131,000 digits.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.json_fault(document jsonb) returns text
language plpgsql stable set search_path = '' as $$
declare
    written text;
    most integer;
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
        most := coalesce((select d.max_payload_bytes from public.deployment d limit 1), 1000000);
        if octet_length(written) > most then
            return format('has %s bytes, and at most %s are allowed', octet_length(written), most);
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

comment on function cogo_internal.json_fault is 'Why a document is not stored; null where nothing is wrong.';
