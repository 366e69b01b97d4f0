/*
 * The jobs whose id begins or ends with these digits, as lists show a part of an id, or the id of an attempt, as the
 * addresses of artifacts contain it; newest first.
 *
 * part       8 to 32 hexadecimal digits; dashes and case are ignored
 * max_jobs   1 to 100
 *
 * The end is compared only if no id begins with the digits. It has no index: it is compared with the newest 100,000 jobs,
 * with 20,000 queued and 20,000 running ones, and with the newest 20,000 of the dead-letter queue, which may have outlived
 * their jobs. Attempts are compared if no job has the digits: see find_attempt_jobs.
 *
 * Returns ["uuid", …]. Errors: CQ005.
 */
create or replace function public.find_jobs(part text, max_jobs integer default 10) returns jsonb
language plpgsql stable set search_path = '' set jit = off as $$
declare
    digits constant text := lower(replace(find_jobs.part, '-', ''));
    size constant integer := length(digits);
    size_limit constant integer := least(greatest(find_jobs.max_jobs, 1), 100);
    result jsonb;
begin
    if digits is null or digits !~ '^[0-9a-f]{8,32}$' then
        perform cogo_internal.invalid_argument('A job ID is a UUID: give it, or at least 8 of its first or last hexadecimal digits.');
    end if;
    select jsonb_agg(f.id order by f.id desc) into result
    from (
        (select j.id from public.jobs j
         where j.id between rpad(digits, 32, '0')::uuid and rpad(digits, 32, 'f')::uuid order by j.id desc limit size_limit)
        union
        (select d.job_id from public.jobs_dlq d
         where not d.superseded and d.job_id between rpad(digits, 32, '0')::uuid and rpad(digits, 32, 'f')::uuid
         order by d.job_id desc limit size_limit)
        order by 1 desc limit size_limit
    ) f (id);
    if result is not null then
        return result;
    end if;
    if size = 32 then
        return to_jsonb(cogo_internal.find_attempt_jobs(digits, size_limit));
    end if;
    select jsonb_agg(f.id order by f.id desc) into result
    from (
        select distinct n.id from (
            (select j.id from public.jobs j order by j.id desc limit 100000)
            union all
            (select j.id from public.jobs j where j.status = 'queued' limit 20000)
            union all
            (select j.id from public.jobs j where j.status = 'running' limit 20000)
            union all
            (select d.job_id from public.jobs_dlq d where not d.superseded order by d.failed_at desc, d.job_id desc limit 20000)
        ) n (id)
        where right(case when size > 12 then replace(n.id::text, '-', '') else n.id::text end, size) = digits
        order by n.id desc limit size_limit
    ) f;
    return coalesce(result, to_jsonb(cogo_internal.find_attempt_jobs(digits, size_limit)));
end $$;

comment on function public.find_jobs is 'The jobs whose id begins or ends with these digits.';
