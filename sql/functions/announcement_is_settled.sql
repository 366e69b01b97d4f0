/*
 * Whether an announcement needs no further attempt: true if a target accepted it or a delivery is pending. Null if nothing
 * was announced under this key.
 */
create or replace function public.announcement_is_settled(key text) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(exists (select from public.alert_deliveries d
                            where d.alert_id = a.id and (d.status in ('pending', 'delivered') or d.announced_at is not null)))
    from public.alerts a where a.key = announcement_is_settled.key
$$;

comment on function public.announcement_is_settled is 'Whether a target accepted an announcement, or a delivery is pending.';
