/*
 * Refuse names that no type and no executor can have. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.refuse_unpausable(kind text, name text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if refuse_unpausable.kind is null or refuse_unpausable.kind not in ('type', 'executor') then
        perform cogo_internal.invalid_argument('kind must be type or executor.');
    elsif refuse_unpausable.name is null or length(refuse_unpausable.name) not between 1 and 200 then
        perform cogo_internal.invalid_argument('The name must have 1 to 200 characters.');
    elsif refuse_unpausable.kind = 'type' and refuse_unpausable.name !~ '^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$' then
        perform cogo_internal.invalid_argument(format('The type %s must be lower-case words joined by dots, such as browser.pdf.',
                                               quote_literal(refuse_unpausable.name)));
    end if;
end $$;

comment on function cogo_internal.refuse_unpausable is 'Refuse names that no type and no executor can have.';
