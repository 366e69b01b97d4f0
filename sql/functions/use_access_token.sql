/*
 * The live token of a hash, whose use is recorded; null if it is unknown, expired or revoked.
 * The lookup is by a hash, whose digits a caller cannot choose, so its duration discloses nothing about the stored tokens.
 *
 * Returns access_token_row. Errors: none.
 */
create or replace function public.use_access_token(token_hash text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept public.access_tokens;
begin
    select t.* into kept from public.access_tokens t
    where t.token_hash = use_access_token.token_hash and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > clock_timestamp());
    if not found then
        return null;
    end if;
    perform cogo_internal.record_token_use(kept.id);
    return cogo_internal.access_token_row(kept);
end $$;

comment on function public.use_access_token is 'The live token of a hash.';
