/*
 * A fingerprint that errors of one cause share: made of the type's family, the error's class, the HTTP status, and the
 * first line of its message without what differs from job to job (ids, numbers, quoted words). Of an address, it
 * contains the host and the path, with <n> for ids and numbers, and not the query. 16 hexadecimal digits.
 * jobs_dlq.fingerprint stores it: a change here needs a migration that computes that column again.
 *
 * Internal: other functions call it.
 */
create or replace function public.error_fingerprint(type text, error jsonb) returns text
language sql immutable set search_path = '' as $$
    select left(md5(concat_ws(E'\n', split_part(error_fingerprint.type, '.', 1), error_fingerprint.error ->> 'class',
        regexp_replace(
            regexp_replace(bare, '''[^'']*''|"[^"]*"|`[^`]*`', '<quoted>', 'g'),
            '[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|[0-9a-f]{12,}|[0-9]+', '<n>', 'gi'),
        (select string_agg(distinct lower(regexp_replace(u[1], '^[^/@]*@', '')) || regexp_replace(
                    rtrim(u[2], '.,:;!'),
                    '[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|[0-9a-f]{12,}|(?=[a-z_-]*[0-9])[0-9a-z_-]{20,}|[0-9]+', '<n>', 'gi'), ' ')
         from regexp_matches(line, '[a-z][a-z0-9+.-]*://([^/\s''"`)<>?#]+)([^\s''"`)<>?#]*)', 'gi') as u),
        (select string_agg(distinct i[1], ' ') from regexp_matches(bare, '\m([0-9]{1,3}(?:[.][0-9]{1,3}){3})\M', 'g') as i),
        (select string_agg(distinct s[1], ' ') from regexp_matches(bare,
            '\m(?:answer(?:s|ed)?|status|code|http(?:/[0-9.]+)?|return(?:s|ed)?|respon[ds](?:e|s|ed)?|error|got|with)[ :=(]+([1-5][0-9][0-9])\M(?! *(?:ms|s|px|%))', 'gi') as s),
        error_fingerprint.error ->> 'status')), 16)
    from (select left(split_part(error_fingerprint.error ->> 'message', E'\n', 1), 500)) as m (line),
         lateral (select regexp_replace(m.line, '[a-z][a-z0-9+.-]*://[^\s''"`)<>]+', '<address>', 'gi')) as b (bare)
$$;

comment on function public.error_fingerprint is 'A fingerprint that errors of one cause share.';
