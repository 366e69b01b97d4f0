/*
 * The same for errors that have one cause: the type's family, the error's class, and the first line of its message
 * without what differs from job to job (ids, numbers, addresses, quoted words). 16 hexadecimal digits.
 * jobs_dlq.fingerprint keeps it: a change here needs a migration that makes that column anew.
 */
create or replace function public.error_fingerprint(type text, error jsonb) returns text
language sql immutable set search_path = '' as $$
    select left(md5(concat_ws(E'\n', split_part(error_fingerprint.type, '.', 1), error_fingerprint.error ->> 'class',
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    left(split_part(error_fingerprint.error ->> 'message', E'\n', 1), 500),
                    '[a-z]+://[^\s''")]+', '<address>', 'gi'),
                '''[^'']*''|"[^"]*"|`[^`]*`', '<quoted>', 'g'),
            '[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|[0-9a-f]{12,}|[0-9]+', '<n>', 'gi'))), 16)
$$;

comment on function public.error_fingerprint is 'The same for errors that have one cause.';
