/*
 * Give back every job that one worker start still holds: the last resort of an orderly stop. Not after a crash: then
 * the attempts end with their leases, and count, so that a job that kills its workers runs out of attempts.
 * Returns {"changed"}. Errors: none.
 */
create or replace function public.requeue_instance(instance_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
    held jsonb;
begin
    select jsonb_agg(jsonb_build_object('job_id', j.id, 'lease_token', j.lease_token, 'outcome', 'requeued'))
    into held from public.jobs j
    where j.status = 'running' and j.instance_id = requeue_instance.instance_id;
    if held is null then
        return '{"changed": 0}';
    end if;
    return jsonb_build_object('changed', (
        select count(*) filter (where status = '"ok"')
        from jsonb_array_elements(public.settle_jobs(held) -> 'statuses') as status));
end $$;

comment on function public.requeue_instance is 'Requeue every job one worker start still holds.';
