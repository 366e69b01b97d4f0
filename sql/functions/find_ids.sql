/*
 * The ids of a kind that begin or end with these digits, as lists show a part of an id; newest first.
 *
 * kind      job, artifact, worker (its instance), alert, silence, operation, action, gate_run or run (a Dagster run of a worker)
 * part      8 to 32 hexadecimal digits; dashes and case are ignored
 * max_ids   1 to 100
 *
 * The end is compared only if no id begins with the digits, and with the newest 100,000 rows. Jobs: see find_jobs.
 *
 * Returns ["uuid", …]. Errors: CQ005.
 */
create or replace function public.find_ids(kind text, part text, max_ids integer default 5) returns jsonb
language plpgsql stable set search_path = '' set jit = off as $$
declare
    digits constant text := lower(replace(find_ids.part, '-', ''));
    size constant integer := length(digits);
    size_limit constant integer := least(greatest(find_ids.max_ids, 1), 100);
    place text[];
    found jsonb;
begin
    if digits is null or digits !~ '^[0-9a-f]{8,32}$' then
        perform cogo_internal.invalid_argument('An ID is a UUID: give it, or at least 8 of its first or last hexadecimal digits.');
    end if;
    if find_ids.kind = 'job' then
        return public.find_jobs(find_ids.part, size_limit);
    end if;
    if find_ids.kind = 'run' then
        return (
            with run as materialized (
                select w.dagster_run_id as id, min(n.place) as place,
                    bool_or(starts_with(replace(w.dagster_run_id, '-', ''), digits)) as begins
                from (select n.dagster_run_id, row_number() over (order by n.started_at desc, n.instance_id desc) as place
                      from public.workers n order by n.started_at desc, n.instance_id desc limit 100000) n
                cross join lateral (select lower(n.dagster_run_id) as dagster_run_id) w
                where w.dagster_run_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                  and (starts_with(replace(w.dagster_run_id, '-', ''), digits) or right(replace(w.dagster_run_id, '-', ''), size) = digits)
                group by 1
            )
            select coalesce(jsonb_agg(f.id order by f.place), '[]')
            from (select r.id, r.place from run r where r.begins or not exists (select from run o where o.begins)
                  order by r.place limit size_limit) f);
    end if;
    place := case find_ids.kind
        when 'artifact' then '{artifacts,id}' when 'worker' then '{workers,instance_id}' when 'alert' then '{alerts,id}'
        when 'silence' then '{alert_silences,id}' when 'operation' then '{operations_log,id}' when 'action' then '{bulk_actions,id}'
        when 'gate_run' then '{gate_runs,id}' end;
    if place is null then
        perform cogo_internal.invalid_argument('kind must be job, artifact, worker, alert, silence, operation, action, gate_run or run.');
    end if;
    execute format('select jsonb_agg(f.id order by f.id desc) from (
            select t.%1$I as id from public.%2$I t where t.%1$I between %3$L and %4$L order by t.%1$I desc limit %5$s) f',
        place[2], place[1], rpad(digits, 32, '0')::uuid, rpad(digits, 32, 'f')::uuid, size_limit) into found;
    if found is null and size < 32 then
        execute format('select jsonb_agg(f.id order by f.id desc) from (
                select n.id from (select t.%1$I as id from public.%2$I t order by t.%1$I desc limit 100000) n
                where right(replace(n.id::text, ''-'', ''''), %3$s) = %4$L order by n.id desc limit %5$s) f',
            place[2], place[1], size, digits, size_limit) into found;
    end if;
    return coalesce(found, '[]');
end $$;

comment on function public.find_ids is 'The ids of a kind that begin or end with these digits.';
