/*
 * The numbers at the top of the dashboard: queue_stats, and {"queued": all queued jobs, counted up to 50,000,
 * "cancelled_24h", "lease_losses_24h": attempts whose lease expired, "jobs_with_lease_losses_24h": their jobs,
 * "running_by_family", "slots_by_family": slots of live workers, "alerts_firing"}.
 */
create or replace function public.queue_numbers() returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
begin
    return public.queue_stats() || jsonb_build_object(
        'queued', (select count(*) from (select from public.jobs j where j.status = 'queued' limit 50000) capped),
        'alerts_firing', (select count(*) from public.alerts a where a.status = 'firing'),
        'cancelled_24h', (select count(*) from public.jobs j
                          where j.status = 'cancelled' and j.finished_at > at - interval '1 day'),
        'lease_losses_24h', (select count(*) from public.job_attempts a
                             where a.outcome = 'lost' and a.finished_at > at - interval '1 day'),
        'jobs_with_lease_losses_24h', (select count(distinct j.id) from public.job_attempts a join public.jobs j on j.id = a.job_id
                                       where a.outcome = 'lost' and a.finished_at > at - interval '1 day'),
        'running_by_family', (select coalesce(jsonb_object_agg(r.family, r.n), '{}') from (
            select j.family, count(*) as n from public.jobs j where j.status = 'running' group by 1) r),
        'slots_by_family', (select coalesce(jsonb_object_agg(s.family, s.slots), '{}') from (
            select f.family, sum(w.concurrency) as slots from public.workers w, unnest(w.families) as f (family)
            where f.family is not null and w.stopped_at is null and cogo_internal.worker_is_alive(w) group by 1) s));
end $$;

comment on function public.queue_numbers is 'The numbers at the top of the dashboard.';
