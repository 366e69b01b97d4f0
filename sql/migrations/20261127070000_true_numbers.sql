-- What a gate run's reports say beside the first numbers, and why one of them could not be read.

alter table public.gate_runs add column if not exists tests_flaky integer;
alter table public.gate_runs add column if not exists branch_coverage_percent double precision;
-- By the kind of report: {"junit": "report unread: …"}.
alter table public.gate_runs add column if not exists report_notes jsonb;

-- It has another argument now.
drop function if exists public.announce(text, text, text, jsonb, jsonb);

-- Causes are told apart by status, host and path. The function is the one of sql/functions/error_fingerprint.sql; what is
-- stored is made anew.
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
do $access$ begin
    revoke all on function public.error_fingerprint(text, jsonb) from public, anon, authenticated;
    grant execute on function public.error_fingerprint(text, jsonb) to service_role;
end $access$;

drop index if exists public.jobs_dlq_cause;
alter table public.jobs_dlq drop column if exists fingerprint;
alter table public.jobs_dlq add column fingerprint text generated always as (public.error_fingerprint(type, error)) stored;
create index if not exists jobs_dlq_cause on public.jobs_dlq (fingerprint, failed_at)
    where not superseded and closed_at is null and replayed_at is null;

update public.alert_silences s set fingerprint = found.fingerprint
from (select distinct on (a.fingerprint) a.fingerprint as earlier,
             public.error_fingerprint(a.subject, jsonb_build_object('class', a.error_class, 'message', a.error_message)) as fingerprint
      from public.alerts a where a.kind = 'job_failed' order by a.fingerprint, a.last_seen_at desc) found
where s.fingerprint = found.earlier and s.ends_at > now();
update public.alerts a
set fingerprint = public.error_fingerprint(a.subject, jsonb_build_object('class', a.error_class, 'message', a.error_message))
where a.kind = 'job_failed';

-- The failures of days and weeks that are kept: one that goes on is no new one next week.
do $failures$
declare
    kept text;
begin
    foreach kept in array array['gate_snapshots', 'weekly_summaries'] loop
        execute format($update$
            update public.%I k set numbers = jsonb_set(k.numbers, '{top_failures}', (
                select jsonb_agg(f || jsonb_build_object('fingerprint', public.error_fingerprint(
                    f ->> 'family', jsonb_build_object('class', f ->> 'error_class', 'message', f ->> 'message'))) order by n)
                from jsonb_array_elements(k.numbers -> 'top_failures') with ordinality as x (f, n)))
            where jsonb_array_length(k.numbers -> 'top_failures') > 0 $update$, kept);
    end loop;
end $failures$;
