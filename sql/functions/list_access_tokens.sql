/*
 * Named tokens without their hashes, live ones first, then by name.
 *
 * live_only   Only tokens that are neither revoked nor expired
 *
 * Returns [access_token_row].
 */
create or replace function public.list_access_tokens(live_only boolean default false, max_tokens integer default 1000) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.access_token_row(page.t)
                              order by page.ended, (page.t).name, (page.t).created_at desc), '[]')
    from (
        select t, t.revoked_at is not null or coalesce(t.expires_at <= now(), false) as ended
        from public.access_tokens t
        where not list_access_tokens.live_only
           or (t.revoked_at is null and (t.expires_at is null or t.expires_at > now()))
        order by 2, t.name, t.created_at desc
        limit least(list_access_tokens.max_tokens, 1000)
    ) page
$$;

comment on function public.list_access_tokens is 'Named tokens, without their hashes.';
