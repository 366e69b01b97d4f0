/*
 * What became of the replays of causes: of the newest 1,000 dead-lettered jobs of each, how many were replayed by a job that
 * has ended, and how many of those jobs succeeded.
 *
 * fingerprints   ["…", …], at most 100
 *
 * Returns {"fingerprint": {"ended", "succeeded"}}; causes without an ended replay are left out.
 */
create or replace function public.replay_results(fingerprints jsonb) returns jsonb
language sql stable set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $$
    select coalesce(jsonb_object_agg(f.fingerprint, jsonb_build_object('ended', n.ended, 'succeeded', n.succeeded)), '{}')
    from (select distinct value from jsonb_array_elements_text(replay_results.fingerprints) limit 100) as f (fingerprint)
    cross join lateral (
        select count(*) as ended, count(*) filter (where j.status = 'succeeded') as succeeded
        from (select d.replayed_job_id from public.jobs_dlq d
              where d.fingerprint = f.fingerprint and not d.superseded
              order by d.failed_at desc limit 1000) newest
        join public.jobs j on j.id = newest.replayed_job_id
        where j.status in ('succeeded', 'failed', 'cancelled')
    ) n
    where n.ended > 0
$$;

comment on function public.replay_results is 'What became of the replays of causes.';
