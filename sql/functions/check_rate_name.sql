/*
 * Check the name of a rate limit. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_rate_name(name text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if coalesce(length(check_rate_name.name), 0) not between 1 and 200 then
        perform cogo_internal.invalid_argument('name must have 1 to 200 characters.');
    end if;
end $$;

comment on function cogo_internal.check_rate_name is 'Check the name of a rate limit.';
