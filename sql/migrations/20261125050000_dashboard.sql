-- What the dashboard, the API and Prometheus read: lists and counts that cost with a million jobs what they cost with
-- ten thousand. No index here is written when a job is enqueued, claimed or succeeds.

-- The cause of a dead letter is kept with it, so that grouping a long DLQ is counting. The function is the one of
-- sql/functions/error_fingerprint.sql, which is not there yet when a fresh database comes here.
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
do $access$ begin
    revoke all on function public.error_fingerprint(text, jsonb) from public, anon, authenticated;
    grant execute on function public.error_fingerprint(text, jsonb) to service_role;
end $access$;

alter table public.jobs_dlq add column if not exists fingerprint text
    generated always as (public.error_fingerprint(type, error)) stored;

create index if not exists jobs_dlq_cause on public.jobs_dlq (fingerprint, failed_at)
    where not superseded and closed_at is null and replayed_at is null;
create index if not exists jobs_dlq_newest on public.jobs_dlq (failed_at, job_id) where not superseded;

create index if not exists jobs_unsuccessful on public.jobs (status, id) where status in ('failed', 'cancelled');
create index if not exists jobs_error_class on public.jobs ((error ->> 'class'), id) where error is not null;
create index if not exists job_attempts_lost on public.job_attempts (finished_at) where outcome = 'lost';

-- Their arguments change.
drop function if exists public.cancel_job(uuid);
drop function if exists public.list_artifacts(uuid, text, text, text, double precision, integer);
drop function if exists public.list_operations(text, double precision, integer);
drop function if exists public.list_workers(boolean, integer);
