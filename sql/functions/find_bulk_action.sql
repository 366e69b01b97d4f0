/*
 * The id of the bulk action whose id begins or ends with these hexadecimal digits: see find_ids.
 * Errors: CQ001 there is none, CQ005 there are several.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.find_bulk_action(part text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
    found jsonb;
begin
    found := public.find_ids('action', find_bulk_action.part, 2);
    if jsonb_array_length(found) > 1 then
        perform cogo_internal.invalid_argument(format('Several bulk actions have an id with %s: give more of its digits.', find_bulk_action.part));
    elsif jsonb_array_length(found) = 0 then
        raise exception using errcode = 'CQ001',
            message = format('There is no bulk action %s: list them with `cogo list actions`.', find_bulk_action.part);
    end if;
    return (found ->> 0)::uuid;
end $$;

comment on function cogo_internal.find_bulk_action is 'The id of a bulk action by some of its digits.';
