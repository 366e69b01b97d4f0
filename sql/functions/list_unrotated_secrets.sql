/*
 * Secrets of all environments that are encrypted with another key than this one, with their ciphertext.
 *
 * after     {"environment", "reference"}: only those after it, in that order
 * Returns {"secrets": [as get_secret], "more": bool}. Errors: CQ005.
 */
create or replace function public.list_unrotated_secrets(
    key_id text, after jsonb default null, batch_size integer default 100
) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    found_rows jsonb;
    page_size integer := least(greatest(coalesce(batch_size, 100), 1), 1000);
begin
    if list_unrotated_secrets.key_id is null then
        perform cogo_internal.invalid_argument('key_id must have 12 hexadecimal digits.');
    end if;
    select coalesce(jsonb_agg(cogo_internal.secret_row(page.s) || jsonb_build_object('ciphertext', (page.s).ciphertext)
                              order by (page.s).environment, (page.s).reference), '[]')
    into found_rows
    from (
        select s from public.secrets s
        where s.key_id <> list_unrotated_secrets.key_id
          and (list_unrotated_secrets.after is null or (s.environment, s.reference)
               > (list_unrotated_secrets.after ->> 'environment', list_unrotated_secrets.after ->> 'reference'))
        order by s.environment, s.reference
        limit page_size + 1
    ) page;
    return jsonb_build_object('secrets', case when jsonb_array_length(found_rows) > page_size then found_rows - page_size
                                         else found_rows end,
                              'more', jsonb_array_length(found_rows) > page_size);
end $$;

comment on function public.list_unrotated_secrets is 'Secrets that are encrypted with another key.';
