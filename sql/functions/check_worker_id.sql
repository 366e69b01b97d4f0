/*
 * Check the id of a worker or an executor: 1 to 200 characters, no control characters. Null is valid. `name` begins the
 * error message. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_worker_id(id text, name text default 'worker_id') returns void
language plpgsql immutable set search_path = '' as $$
begin
    if length(check_worker_id.id) not between 1 and 200 or check_worker_id.id ~ '[\x01-\x1f\x7f-\x9f]' then
        perform cogo_internal.invalid_argument(format('%s must have 1 to 200 characters and no control characters.', check_worker_id.name));
    end if;
end $$;

comment on function cogo_internal.check_worker_id is 'Check the id of a worker or an executor.';
