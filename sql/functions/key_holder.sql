/*
 * The job that holds the key under which a letter would be replayed, if it does other work than the letter's: another
 * payload or executor id, or it is the replay of another letter. Null where the letter can be replayed.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.key_holder(letter public.jobs_dlq) returns uuid
language sql stable as $$
    select j.id from public.jobs j
    where j.type = letter.type and j.idempotency_key = 'dlq:' operator(pg_catalog.||) letter.job_id::text
      and (j.payload <> coalesce(letter.payload, '{}') or j.executor_id is distinct from letter.executor_id
           or exists (select from public.jobs_dlq other
                      where other.replayed_job_id = j.id and other.job_id <> letter.job_id))
$$;

comment on function cogo_internal.key_holder is 'The job whose idempotency key keeps a letter from being replayed.';
