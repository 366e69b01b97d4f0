/*
 * The ids of the jobs that match a filter of query_jobs, in its order.
 *
 * One call reads at most 10,000 jobs: those whose ids an index finds, if there are at most 10,000, else the newest (or the
 * oldest). Each statement is planned for its values, and without scans of whole tables.
 *
 * Returns {"ids", "next": the cursor of the next page or null after the last, "looked_until": how far an incomplete page has
 * read}. Errors: CQ001 there is no such bulk action, CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.search_ids(given jsonb, cursor_id uuid, max_jobs integer) returns jsonb
language plpgsql stable
set search_path = '' set jit = off set work_mem = '32MB' set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    max_read constant integer := 10000;
    few constant integer := 10000;
    at constant timestamptz := clock_timestamp();
    size constant integer := least(greatest(search_ids.max_jobs, 1), 1000);
    is_oldest constant boolean := search_ids.given ->> 'order' = 'oldest';
    filter jsonb := search_ids.given;
    wanted text[];
    classes text[];
    candidate text;
    ids uuid[];
    source text;
    found uuid[];
    last_seen record;
begin
    perform cogo_internal.check_search(filter);
    if filter ? 'action_id' then
        filter := filter || jsonb_build_object('action_id', cogo_internal.find_bulk_action(filter ->> 'action_id'));
    end if;
    wanted := array(select distinct jsonb_array_elements_text(filter -> 'statuses'));
    if cardinality(wanted) = 0 and filter -> 'conditions' ?| '{due,scheduled,paused}' then
        wanted := '{queued}';
    elsif cardinality(wanted) = 0 and filter -> 'conditions' ? 'lease-expired' then
        wanted := '{running}';
    elsif cardinality(wanted) = 0 and filter ? 'finished' then
        wanted := '{succeeded,failed,cancelled}';
    end if;
    classes := array(select jsonb_array_elements_text(filter -> 'error_classes'));
    -- The first of these that finds few jobs: their ids are read from its index before any row is.
    foreach candidate in array cogo_internal.search_sources(filter, wanted, at) loop
        execute format('select coalesce(array_agg(distinct c.id), ''{}'') from (select * from (%s) as f (id) limit $1) c', candidate)
        into ids using few + 1;
        exit when cardinality(ids) <= few;
        ids := null;
    end loop;
    source := case
        when ids is not null then 'j.id = any ($4)'
        when cardinality(classes) = 1 then format('j.error is not null and j.error ->> ''class'' = %L', classes[1])
        when wanted = '{failed}' or wanted = '{cancelled}' then format('j.status = %L', wanted[1])
        else 'true' end;
    source := format('from public.jobs j where %s and ($1 is null or j.id %s $1) order by j.id %s limit $2',
                     source, case when is_oldest then '>' else '<' end, case when is_oldest then 'asc' else 'desc' end);
    execute format('select array(select w.id from (select j.* %s) w where %s order by w.id %s limit $3)',
                   source, cogo_internal.search_conditions(filter, at), case when is_oldest then 'asc' else 'desc' end)
    into found using search_ids.cursor_id, max_read, size + 1, ids;

    if cardinality(found) > size then
        return jsonb_build_object('ids', to_jsonb(found[:size]), 'next', found[size], 'looked_until', null);
    end if;
    -- The page is not full: either there are no more jobs, or it reached the limit of jobs to read.
    execute 'select s.id, s.created_at from (select j.id, j.created_at ' || source || ') s offset $2 - 1'
    into last_seen using search_ids.cursor_id, max_read, size + 1, ids;
    return jsonb_build_object('ids', to_jsonb(found), 'next', last_seen.id, 'looked_until', last_seen.created_at);
end $$;

comment on function cogo_internal.search_ids is 'The ids of the jobs that match a filter.';
