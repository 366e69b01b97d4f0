/*
 * A uuid that sorts by the time it was made (RFC 9562, version 7). PostgreSQL has one of its own from 18 on.
 */
create or replace function public.time_ordered_id() returns uuid
language sql volatile set search_path = '' as $$
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
        from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$;

comment on function public.time_ordered_id is 'A version 7 uuid.';
