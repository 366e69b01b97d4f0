/*
 * Whether a job or a superseded attempt finished in [starts_at, ends_at). Each status has its own index.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.has_finished_jobs(starts_at timestamptz, ends_at timestamptz) returns boolean
language sql stable set search_path = '' as $$
    select exists (select from public.job_attempts a
                   where a.finished_at >= has_finished_jobs.starts_at and a.finished_at < has_finished_jobs.ends_at)
        or exists (select from public.jobs j where j.status = 'succeeded'
                   and j.finished_at >= has_finished_jobs.starts_at and j.finished_at < has_finished_jobs.ends_at)
        or exists (select from public.jobs j where j.status = 'failed'
                   and j.finished_at >= has_finished_jobs.starts_at and j.finished_at < has_finished_jobs.ends_at)
        or exists (select from public.jobs j where j.status = 'cancelled'
                   and j.finished_at >= has_finished_jobs.starts_at and j.finished_at < has_finished_jobs.ends_at)
$$;

comment on function cogo_internal.has_finished_jobs is 'Whether a job or an attempt finished in a range of time.';
