/*
 * Record that a worker instance is stuck and about to exit: it no longer counts as alive, and the alert about its silence
 * gives the reason. Its jobs are recovered when their leases expire.
 *
 * Returns {"known"}: false if there is no such row. Errors: none.
 */
create or replace function public.report_stuck_worker(instance_id uuid, reason text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    update public.workers w set stuck_reason = left(report_stuck_worker.reason, 500)
    where w.instance_id = report_stuck_worker.instance_id;
    return jsonb_build_object('known', found);
end $$;

comment on function public.report_stuck_worker is 'Record that a worker instance is stuck and about to exit.';
