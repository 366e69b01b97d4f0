/*
 * Extend leases and return the state of their jobs.
 *
 * leases    [{"job_id", "lease_token"}]
 *
 * Returns {"statuses": […]} in the order given: "ok", "cancel_requested" (extended too; stop if possible),
 * "lease_lost" (another attempt holds the job, or it ended: stop) or "job_not_found". Errors: CQ005.
 *
 * A row that is being settled is skipped and reported as "ok": waiting for it could deadlock.
 */
create or replace function public.renew_leases(leases jsonb, lease_seconds integer default 60) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    lease_end timestamptz;
    result jsonb;
begin
    if renew_leases.lease_seconds is null or renew_leases.lease_seconds not between 1 and 86400 then
        perform cogo_internal.invalid_argument('lease_seconds must be 1 to 86400.');
    end if;
    lease_end := clock_timestamp() + make_interval(secs => renew_leases.lease_seconds);

    with item as materialized (
        select * from rows from (jsonb_to_recordset(renew_leases.leases) as (job_id uuid, lease_token uuid))
            with ordinality as i (job_id, lease_token, position)
    ), held as materialized (
        select j.id from item i join public.jobs j on j.id = i.job_id
        where j.lease_token = i.lease_token and j.lease_expires_at is not null
        for no key update of j skip locked
    ), renewed as (
        update public.jobs j set lease_expires_at = lease_end from held where j.id = held.id
        returning j.id, j.cancel_requested
    )
    select jsonb_agg(case
            when r.cancel_requested then 'cancel_requested'
            when r.id is not null then 'ok'
            when j.id is null then 'job_not_found'
            when j.status = 'running' and j.lease_token = i.lease_token then 'ok'
            else 'lease_lost' end order by i.position)
    into result
    from item i
    left join renewed r on r.id = i.job_id
    left join public.jobs j on j.id = i.job_id;
    return jsonb_build_object('statuses', coalesce(result, '[]'));
end $$;

comment on function public.renew_leases is 'Extend leases; a status per lease.';
