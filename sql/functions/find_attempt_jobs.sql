/*
 * The jobs of the attempts whose id begins with these digits, or ends with them if none does.
 *
 * digits   8 to 32 hexadecimal digits in lower case
 *
 * Attempts that ended before the last one are read from the newest 10,000, current ones from the newest 10,000 jobs and
 * the running ones; from the newest 100,000 only if those have none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.find_attempt_jobs(digits text, max_jobs integer) returns uuid[]
language plpgsql stable set search_path = '' set jit = off as $$
declare
    first constant uuid := rpad(find_attempt_jobs.digits, 32, '0')::uuid;
    last constant uuid := rpad(find_attempt_jobs.digits, 32, 'f')::uuid;
    begins boolean;
    newest integer;
    found uuid[];
begin
    -- The end of an id is compared as text, which takes most of the time: in a second pass only.
    foreach begins in array array[true, false] loop
        foreach newest in array array[10000, 100000] loop
            select array(
                select distinct a.id from (
                    (select j.id, j.lease_token from public.jobs j order by j.id desc limit newest)
                    union all
                    select j.id, j.lease_token from public.jobs j where j.status = 'running'
                    union all
                    (select t.job_id, t.lease_token from public.job_attempts t order by t.job_id desc, t.lease_token desc limit newest)
                ) a
                where case when begins then a.lease_token between first and last
                           else right(replace(a.lease_token::text, '-', ''), length(find_attempt_jobs.digits)) = find_attempt_jobs.digits end
                order by a.id desc limit find_attempt_jobs.max_jobs) into found;
            if cardinality(found) > 0 then
                return found;
            end if;
        end loop;
    end loop;
    return found;
end $$;

comment on function cogo_internal.find_attempt_jobs is 'The jobs of the attempts whose id begins or ends with these digits.';
