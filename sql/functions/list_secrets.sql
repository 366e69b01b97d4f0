/*
 * Secrets by environment and reference, without their ciphertext.
 */
create or replace function public.list_secrets(environment text default null, max_secrets integer default 1000) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.secret_row(page.s) order by (page.s).environment, (page.s).reference), '[]')
    from (
        select s from public.secrets s
        where list_secrets.environment is null or s.environment = list_secrets.environment
        order by s.environment, s.reference
        limit least(list_secrets.max_secrets, 1000)
    ) page
$$;

comment on function public.list_secrets is 'Secrets, without their values.';
