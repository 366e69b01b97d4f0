/*
 * Reject ids of workers and executors that lists cannot show: empty, longer than 200 characters, or with control
 * characters. Null is none. `name` begins the sentence. Errors: CQ005.
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

comment on function cogo_internal.check_worker_id is 'Reject ids that lists cannot show.';
