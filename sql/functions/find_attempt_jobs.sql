/*
 * The jobs of the attempts whose id begins with these digits, or ends with them if none does.
 *
 * digits   8 to 32 hexadecimal digits in lower case
 *
 * Attempts that ended before the last one are read from the newest 100,000, current ones from the newest 100,000 jobs and
 * the running ones.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.find_attempt_jobs(digits text, max_jobs integer) returns uuid[]
language plpgsql stable set search_path = '' set jit = off as $$
declare
    first constant uuid := rpad(find_attempt_jobs.digits, 32, '0')::uuid;
    last constant uuid := rpad(find_attempt_jobs.digits, 32, 'f')::uuid;
    found uuid[];
begin
    with attempt as materialized (
        (select j.id, j.lease_token from public.jobs j order by j.id desc limit 100000)
        union
        select j.id, j.lease_token from public.jobs j where j.status = 'running'
        union
        (select a.job_id, a.lease_token from public.job_attempts a order by a.job_id desc, a.lease_token desc limit 100000)
    ), matching as (
        select a.id, a.lease_token between first and last as begins
        from attempt a
        where a.lease_token between first and last
           or right(replace(a.lease_token::text, '-', ''), length(find_attempt_jobs.digits)) = find_attempt_jobs.digits
    )
    select array(
        select distinct m.id from matching m
        where m.begins or not exists (select from matching o where o.begins)
        order by m.id desc limit find_attempt_jobs.max_jobs) into found;
    return found;
end $$;

comment on function cogo_internal.find_attempt_jobs is 'The jobs of the attempts whose id begins or ends with these digits.';
