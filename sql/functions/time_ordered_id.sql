/*
 * A uuid that sorts by its creation time (RFC 9562, version 7): 48 bits of Unix milliseconds, the version, 12 bits
 * of the millisecond's fraction (its method 3), then the random half of a version 4 uuid.
 * PostgreSQL 18 and later have uuidv7().
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.time_ordered_id() returns uuid
language sql volatile set search_path = '' as $$
    select encode(int8send((microseconds / 1000 << 16) | (7 << 12) | (microseconds % 1000 * 4096 / 1000))
                  || substring(uuid_send(gen_random_uuid()) from 9), 'hex')::uuid
    from (select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint) as clock (microseconds)
$$;

comment on function cogo_internal.time_ordered_id is 'A version 7 uuid.';
