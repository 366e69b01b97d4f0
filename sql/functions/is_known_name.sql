/*
 * Whether a type or executor ID is that of a worker, of a waiting job, of one of the newest 1,000 jobs or, a type, of a
 * finished job of the last 30 days: otherwise it may be misspelt. Errors: none.
 *
 * The settings are those of claim_jobs, for queue_lanes.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.is_known_name(kind text, name text) returns boolean
language plpgsql stable
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set jit = off
as $$
declare
    at timestamptz := clock_timestamp();
begin
    if is_known_name.kind = 'executor' then
        return exists (select from public.workers w where w.executor_id = is_known_name.name)
            or exists (select from cogo_internal.queue_lanes() l where l.executor_id = is_known_name.name)
            or exists (select from (select j.executor_id from public.jobs j order by j.id desc limit 1000) newest
                       where newest.executor_id = is_known_name.name);
    end if;
    return position('.' in is_known_name.name) = 0 and (
            exists (select from public.workers w where is_known_name.name = any (w.families))
            or exists (select from cogo_internal.queue_lanes() l where l.family = is_known_name.name))
        or exists (select from (select j.type from public.jobs j order by j.id desc limit 1000) newest
                   where newest.type = is_known_name.name or starts_with(newest.type, is_known_name.name || '.'))
        or exists (select from public.job_periods p cross join jsonb_array_elements(p.tally) t
                   where p.starts_at > at - interval '30 days'
                     and (t ->> 'type' = is_known_name.name or starts_with(t ->> 'type', is_known_name.name || '.')));
end $$;

comment on function cogo_internal.is_known_name is 'Whether a type or executor ID is that of a worker or job.';
