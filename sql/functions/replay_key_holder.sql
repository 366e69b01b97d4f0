/*
 * The job that holds the idempotency key under which a dead-lettered job would be replayed, if it is other work: another
 * payload or executor id, or the replay of another dead-lettered job. Null if the job can be replayed.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.replay_key_holder(entry public.jobs_dlq) returns uuid
language sql stable as $$
    select j.id from public.jobs j
    where j.type = entry.type and j.idempotency_key = 'dlq:' operator(pg_catalog.||) entry.job_id::text
      and (j.payload <> coalesce(entry.payload, '{}') or j.executor_id is distinct from entry.executor_id
           or exists (select from public.jobs_dlq other
                      where other.replayed_job_id = j.id and other.job_id <> entry.job_id))
$$;

comment on function cogo_internal.replay_key_holder is 'The job whose idempotency key prevents a replay.';
