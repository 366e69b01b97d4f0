-- claim_one_job honours next_run_at: the worker's call until 20261123000000_adopt_and_complete.sql, which replaces it.
-- One that is there already stays as it is, since running workers know its arguments and its answer.

do $$
declare
    ours regprocedure;
begin
    if not exists (select from pg_catalog.pg_proc
                   where pronamespace = 'public'::regnamespace and proname = 'claim_one_job') then
        execute $create$
            create function public.claim_one_job(executor_id text, worker_id text, lease_seconds integer default 60)
            returns jsonb language plpgsql set search_path = '' as $body$
            declare
                claimed jsonb;
            begin
                update public.jobs j
                set status = 'running', attempts = j.attempts + 1, worker_id = claim_one_job.worker_id,
                    lease_token = gen_random_uuid(),
                    lease_expires_at = clock_timestamp() + make_interval(secs => claim_one_job.lease_seconds)
                where j.id = (
                    select due.id from public.jobs due
                    where due.status = 'queued' and due.next_run_at <= clock_timestamp()
                      and (due.executor_id is null or due.executor_id = claim_one_job.executor_id)
                    order by due.next_run_at limit 1 for update skip locked)
                returning to_jsonb(j) into claimed;
                return claimed;
            end $body$
        $create$;
    end if;
    for ours in
        select oid::regprocedure from pg_catalog.pg_proc
        where pronamespace = 'public'::regnamespace and proname = 'claim_one_job'
    loop
        execute format('revoke all on function %s from public, anon, authenticated', ours);
        execute format('grant execute on function %s to service_role', ours);
    end loop;
end $$;
