/*
 * Attempts that lost their lease, newest first, and their number by worker.
 *
 * worker_id      only those of this worker
 * since_seconds  lost within this many seconds; the newest 10,000 are counted
 *
 * Returns {"losses": [{"job_id", "type", "attempt", "worker_id", "instance_id", "finished_at"}], "workers":
 * [{"worker_id", "attempts", "jobs"}]}.
 */
create or replace function public.list_lease_losses(
    worker_id text default null, since_seconds double precision default 86400, max_losses integer default 50
) returns jsonb
language sql stable set search_path = '' set timezone = 'UTC' as $$
    with lost as materialized (
        select a.job_id, a.attempt, a.worker_id, a.instance_id, a.finished_at
        from public.job_attempts a
        where a.outcome = 'lost'
          and a.finished_at > clock_timestamp() - make_interval(secs => least(greatest(list_lease_losses.since_seconds, 0), 315360000))
        order by a.finished_at desc
        limit 10000
    )
    select jsonb_build_object(
        'losses', (select coalesce(jsonb_agg(jsonb_build_object(
                'job_id', page.job_id, 'type', j.type, 'attempt', page.attempt, 'worker_id', page.worker_id,
                'instance_id', page.instance_id, 'finished_at', page.finished_at) order by page.finished_at desc), '[]')
            from (select * from lost l
                  where list_lease_losses.worker_id is null or l.worker_id = list_lease_losses.worker_id
                  order by l.finished_at desc limit least(greatest(list_lease_losses.max_losses, 0), 1000)) page
            left join public.jobs j on j.id = page.job_id),
        'workers', (select coalesce(jsonb_agg(jsonb_build_object(
                'worker_id', w.worker_id, 'attempts', w.attempts, 'jobs', w.jobs) order by w.attempts desc, w.worker_id), '[]')
            from (select l.worker_id, count(*) as attempts, count(distinct l.job_id) as jobs from lost l
                  where list_lease_losses.worker_id is null or l.worker_id = list_lease_losses.worker_id
                  group by l.worker_id) w))
$$;

comment on function public.list_lease_losses is 'Attempts that lost their lease, and their number by worker.';
