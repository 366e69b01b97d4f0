/*
 * Raise CQ005 from inside an expression. It costs nothing where it is not evaluated.
 * Errors: always CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.invalid_argument(sentence text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    raise exception using errcode = 'CQ005', message = sentence;
end $$;

comment on function cogo_internal.invalid_argument is 'Raise CQ005 with a message.';
