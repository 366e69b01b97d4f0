/*
 * A worker start cannot go on and is about to end itself: it counts as alive no more, and the alert about its silence
 * gives the reason. Its jobs come back when their leases expire.
 *
 * Returns {"known"}: false when there is no such row. Errors: none.
 */
create or replace function public.report_stuck_worker(instance_id uuid, reason text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    update public.workers w set stuck_reason = left(report_stuck_worker.reason, 500)
    where w.instance_id = report_stuck_worker.instance_id;
    return jsonb_build_object('known', found);
end $$;

comment on function public.report_stuck_worker is 'A worker start cannot go on and ends itself.';
