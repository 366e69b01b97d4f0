/*
 * Settle one attempt, or raise an error if it was not settled. The functions for single jobs call it. Returns
 * {"job_id", "status"}. Errors: CQ001 no such job, CQ002 lease lost, CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.settle_one(settlement jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    settled jsonb := public.settle_jobs(jsonb_build_array(settle_one.settlement));
begin
    case settled #>> '{statuses,0}'
        when 'ok' then
            return jsonb_build_object('job_id', settle_one.settlement -> 'job_id', 'status', settled #> '{job_statuses,0}');
        when 'lease_lost' then
            raise exception using errcode = 'CQ002',
                message = format('The lease on job %s is lost: another attempt owns it, or it ended. Stop working on it.',
                                 settle_one.settlement ->> 'job_id');
        else
            raise exception using errcode = 'CQ001', message = format('There is no job %s.', settle_one.settlement ->> 'job_id');
    end case;
end $$;

comment on function cogo_internal.settle_one is 'Settle one attempt, or raise an error.';
