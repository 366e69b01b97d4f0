-- The poison rows violate the checks, as rows from an older schema or a restored dump may.
alter table public.jobs drop constraint jobs_dates_known;
create schema chaos;
create table chaos.audit (
    id bigint generated always as identity primary key, at timestamptz not null, job_id uuid not null,
    type text, old_status text, status text, old_token uuid, token uuid, old_attempts integer, attempts integer,
    max_attempts integer, expired boolean, cancel_requested boolean, error_class text, idempotency_key text
);
create function chaos.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'UPDATE' and old.status = new.status and old.lease_token is not distinct from new.lease_token then
        return null;
    end if;
    insert into chaos.audit (at, job_id, type, old_status, status, old_token, token, old_attempts, attempts,
                             max_attempts, expired, cancel_requested, error_class, idempotency_key)
    values (clock_timestamp(), coalesce(new.id, old.id), coalesce(new.type, old.type), old.status, new.status,
            old.lease_token, new.lease_token, old.attempts, new.attempts, new.max_attempts,
            old.lease_expires_at < clock_timestamp(), new.cancel_requested, new.error ->> 'class',
            coalesce(new.idempotency_key, old.idempotency_key));
    return null;
end $$;
create trigger chaos_note after insert or update or delete on public.jobs
    for each row execute function chaos.note();
create table chaos.cleaned (artifact_id uuid primary key, job_id uuid, token uuid);
create function chaos.note_cleanup() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if current_query() like '%cleanup_artifacts%' then
        insert into chaos.cleaned values (old.id, old.job_id, old.lease_token) on conflict do nothing;
    end if;
    return null;
end $$;
create trigger chaos_cleanup after update on public.artifacts for each row
    when (old.status = 'ready' and new.status in ('expired', 'orphaned')) execute function chaos.note_cleanup();
-- Filled after the run; the checks compare the tables with these.
create table chaos.effects (kind text not null, job_id uuid not null, token uuid not null, files integer not null);
create table chaos.enqueued (job_id uuid primary key);
create table chaos.objects (key text primary key, sha256 text, size_bytes bigint);
