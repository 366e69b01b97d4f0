/*
 * Fail the jobs of a claim whose payload the claiming worker cannot decode: running -> failed permanently, class
 * `unreadable`, with a row in jobs_dlq that keeps the payload. enqueue_jobs checks payloads; this handles rows that were
 * written without it. Fenced by the claim's lease token; safe to repeat.
 *
 * claim_id    The claim_id of claim_jobs
 * every_one   All jobs of the claim, including those within the limits of json_fault
 *
 * Returns {"failed", "job_ids"}. Errors: none.
 */
create or replace function public.fail_unreadable_jobs(claim_id uuid, every_one boolean default false) returns jsonb
language plpgsql set search_path = '' as $$
declare
    settlements jsonb;
    failed jsonb;
begin
    select jsonb_agg(jsonb_build_object(
        'job_id', held.id, 'lease_token', held.lease_token, 'outcome', 'failed', 'retryable', false,
        'error', jsonb_build_object('class', 'unreadable', 'retryable', false, 'message',
            coalesce(format('The payload %s.', held.fault), 'The worker could not decode this job.'))) order by held.id)
    into settlements
    from (
        select j.id, j.lease_token, cogo_internal.json_fault(j.payload) as fault from public.jobs j
        where j.lease_token = fail_unreadable_jobs.claim_id and j.status = 'running'
    ) held
    where fail_unreadable_jobs.every_one or held.fault is not null;
    if settlements is null then
        return '{"failed": 0, "job_ids": []}';
    end if;

    select coalesce(jsonb_agg(settlements #> array[(s.position - 1)::text, 'job_id'] order by s.position), '[]') into failed
    from jsonb_array_elements_text(public.settle_jobs(settlements) -> 'statuses') with ordinality as s (status, position)
    where s.status = 'ok';
    return jsonb_build_object('failed', jsonb_array_length(failed), 'job_ids', failed);
end $$;

comment on function public.fail_unreadable_jobs is 'Fail the jobs of a claim that its worker cannot decode.';
