/*
 * Jobs to compare a job with: dead-lettered jobs of the same cause that failed before and after it, and the last job of
 * its family that succeeded with the same payload key `url`.
 *
 * Returns {"fingerprint", "newer": {"job_id", "at"}, "older": {"job_id", "at"}, "last_success": {"job_id", "at"}}; each
 * may be null. `newer` and `older` are open: neither replayed, retried nor discarded.
 */
create or replace function public.job_context(job_id uuid) returns jsonb
language sql stable set search_path = '' set timezone = 'UTC' as $$
    select jsonb_build_object(
        'fingerprint', d.fingerprint,
        'newer', (select jsonb_build_object('job_id', n.job_id, 'at', n.failed_at) from public.jobs_dlq n
                  where not n.superseded and n.closed_at is null and n.replayed_at is null
                    and n.fingerprint = d.fingerprint and (n.failed_at, n.job_id) > (d.failed_at, d.job_id)
                    and n.failed_at >= d.failed_at
                  order by n.failed_at, n.job_id limit 1),
        'older', (select jsonb_build_object('job_id', o.job_id, 'at', o.failed_at) from public.jobs_dlq o
                  where not o.superseded and o.closed_at is null and o.replayed_at is null
                    and o.fingerprint = d.fingerprint and (o.failed_at, o.job_id) < (d.failed_at, d.job_id)
                    and o.failed_at <= d.failed_at
                  order by o.failed_at desc, o.job_id desc limit 1),
        'last_success', (select jsonb_build_object('job_id', s.id, 'at', s.finished_at) from public.jobs s
                         where s.status = 'succeeded' and jsonb_typeof(s.payload -> 'url') = 'string'
                           and md5(s.payload ->> 'url') = md5(j.payload ->> 'url')
                           and s.payload ->> 'url' = j.payload ->> 'url' and s.family = j.family and s.id <> j.id
                         order by s.finished_at desc limit 1))
    from public.jobs j
    left join public.jobs_dlq d on d.job_id = j.id and not d.superseded
    where j.id = job_context.job_id
$$;

comment on function public.job_context is 'Jobs to compare a job with.';
