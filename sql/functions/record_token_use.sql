/*
 * Record the use of a named token, at most once a minute.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.record_token_use(token_id uuid) returns void
language sql volatile set search_path = '' as $$
    update public.access_tokens t set last_used_at = clock_timestamp()
    where t.id = record_token_use.token_id
      and (t.last_used_at is null or t.last_used_at < clock_timestamp() - interval '1 minute')
$$;

comment on function cogo_internal.record_token_use is 'Record the use of a named token.';
