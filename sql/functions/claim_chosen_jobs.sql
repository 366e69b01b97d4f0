/*
 * Claim exactly these jobs, to inspect them: queued -> running, one attempt counted for each, even before their
 * next_run_at. Called again with the same claim_id, it returns the same jobs; once a lease of that claim has been
 * recovered, it returns no jobs and "claim_ended".
 *
 * Returns {"jobs": […]} in the order given; ids that are unknown or not queued are left out. Errors: CQ005.
 */
create or replace function public.claim_chosen_jobs(
    claim_id uuid, job_ids jsonb, worker_id text, lease_seconds integer default 900
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    wanted uuid[];
    result jsonb;
begin
    if claim_chosen_jobs.claim_id is null or jsonb_typeof(claim_chosen_jobs.job_ids) is distinct from 'array' then
        perform cogo_internal.invalid_argument('claim_id must be a uuid, and job_ids an array of uuids.');
    end if;
    if claim_chosen_jobs.lease_seconds is null or claim_chosen_jobs.lease_seconds not between 1 and 86400 then
        perform cogo_internal.invalid_argument('lease_seconds must be 1 to 86400.');
    end if;
    perform cogo_internal.check_worker_id(claim_chosen_jobs.worker_id);
    if exists (select from public.ended_claims e where e.claim_id = claim_chosen_jobs.claim_id) then
        return '{"jobs": [], "claim_ended": true}';
    end if;
    wanted := array(select value::uuid from jsonb_array_elements_text(claim_chosen_jobs.job_ids));

    with free as materialized (
        select j.id from public.jobs j where j.id = any (wanted) and j.status = 'queued' order by j.id for update skip locked
    )
    update public.jobs j set
        status = 'running',
        attempts = j.attempts + 1,
        lease_token = claim_chosen_jobs.claim_id,
        lease_expires_at = at + make_interval(secs => claim_chosen_jobs.lease_seconds),
        worker_id = claim_chosen_jobs.worker_id,
        instance_id = null,
        claimed_at = at,
        started_at = at,
        finished_at = null
    from free where j.id = free.id;

    select jsonb_agg(cogo_internal.claimed_job(j) order by array_position(wanted, j.id)) into result
    from public.jobs j
    where j.id = any (wanted) and j.lease_token = claim_chosen_jobs.claim_id and j.status = 'running';
    return jsonb_build_object('jobs', coalesce(result, '[]'));
end $$;

comment on function public.claim_chosen_jobs is 'Claim exactly these jobs, whatever their next_run_at.';
