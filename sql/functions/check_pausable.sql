/*
 * Check the name of a type or an executor to pause. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_pausable(kind text, name text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if check_pausable.kind is null or check_pausable.kind not in ('type', 'executor') then
        perform cogo_internal.invalid_argument('kind must be type or executor.');
    elsif check_pausable.name is null or length(check_pausable.name) not between 1 and 200 then
        perform cogo_internal.invalid_argument('The name must have 1 to 200 characters.');
    elsif check_pausable.kind = 'type' and check_pausable.name !~ '^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$' then
        perform cogo_internal.invalid_argument(format('The type %s must be lower-case words joined by dots, such as browser.pdf.',
                                               quote_literal(check_pausable.name)));
    end if;
end $$;

comment on function cogo_internal.check_pausable is 'Check the name of a type or an executor to pause.';
