/*
 * Requeue every job that a worker instance still holds: the last step of a graceful shutdown. After a crash it must not
 * be called: the attempts then end with their leases and are counted, so that a poison job runs out of attempts.
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

comment on function public.requeue_instance is 'Requeue every job that a worker instance still holds.';
