/*
 * What has held back vacuum for the longest time: a session with an open transaction, a prepared transaction or a
 * replication slot. While it does, dead rows of the queue stay and each claim reads more of them.
 *
 * min_seconds   younger ones are left out. Where PostgreSQL hides the age from this role, and for a slot, which has
 *               none: those that are older than min_transactions
 *
 * Returns {"kind": "session", "prepared_transaction" or "replication_slot", "seconds" or null, "transactions" since it
 * began, "pid" or null, "application" or null, "name": of the prepared transaction or slot, or null, "message",
 * "remedy"}, or null if there is none. Errors: none.
 */
create or replace function public.held_snapshot(
    min_seconds double precision default 60, min_transactions integer default 10000
) returns jsonb
language sql stable set search_path = '' as $$
    with holder as (
        select 'session' as kind, date_part('epoch', clock_timestamp() - a.xact_start) as seconds,
            greatest(age(a.backend_xid), age(a.backend_xmin)) as transactions, a.pid, a.application_name as application,
            null::text as name, format('select pg_terminate_backend(%s)', a.pid) as command
        from pg_catalog.pg_stat_activity a
        where (a.datname = current_database() or a.backend_type = 'walsender') and a.pid <> pg_backend_pid()
          -- Null if it is hidden from this role. Autovacuum has no user.
          and coalesce(a.backend_type, 'client backend') in ('client backend', 'walsender', 'background worker')
          and a.usesysid is not null
          and (a.backend_xid is not null or a.backend_xmin is not null)
        union all
        select 'prepared_transaction', date_part('epoch', clock_timestamp() - p.prepared), age(p.transaction), null, null, p.gid,
            format('rollback prepared %L', p.gid)
        from pg_catalog.pg_prepared_xacts p where p.database = current_database()
        union all
        select 'replication_slot', null, age(s.xmin), s.active_pid, a.application_name, s.slot_name,
            format('select pg_drop_replication_slot(%L)', s.slot_name)
        from pg_catalog.pg_replication_slots s left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
        where s.xmin is not null
    )
    select jsonb_build_object(
        'kind', h.kind, 'seconds', round(h.seconds::numeric, 3), 'transactions', h.transactions, 'pid', h.pid,
        'application', h.application, 'name', h.name,
        'message', format('%s has held a snapshot for %s: vacuum cannot remove dead rows, and claims become slower.',
            case h.kind
                when 'session' then format('The session with pid %s (application %s)', h.pid, quote_literal(left(h.application, 100)))
                when 'prepared_transaction' then format('The prepared transaction %s', quote_literal(left(h.name, 200)))
                else format('The replication slot %s%s', quote_literal(h.name),
                    coalesce(format(' (pid %s, application %s)', h.pid, quote_literal(left(h.application, 100))), '')) end,
            coalesce(round(h.seconds)::bigint || ' s', h.transactions || ' transactions')),
        'remedy', format(case h.kind
            when 'session' then 'End it with `%s;`, and set idle_in_transaction_session_timeout for its role.'
            when 'prepared_transaction' then 'Commit it, or end it with `%s;`.'
            else 'Let its client catch up, or drop it with `%s;`.' end, h.command))
    from holder h
    where case when h.seconds is not null then h.seconds >= held_snapshot.min_seconds
               else h.transactions >= held_snapshot.min_transactions end
    order by h.transactions desc, h.seconds desc nulls last
    limit 1
$$;

comment on function public.held_snapshot is 'What has held back vacuum for the longest time.';
