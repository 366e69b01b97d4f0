/*
 * Paused types and executors, with who paused them, when and why; newest first.
 */
create or replace function public.list_paused() returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(p) order by p.paused_at desc, p.kind, p.name), '[]') from public.paused p
$$;

comment on function public.list_paused is 'Paused types and executors, newest first.';
