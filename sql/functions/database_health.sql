/*
 * The health of the database itself: conditions that slow a queue down before anything fails.
 *
 * Returns {"jobs_live", "jobs_dead" row versions, "oldest_transaction_seconds" among the sessions this role may see,
 * "transaction_id_age", "size_bytes"}.
 */
create or replace function public.database_health() returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'jobs_live', coalesce(max(t.n_live_tup), 0), 'jobs_dead', coalesce(max(t.n_dead_tup), 0),
        'oldest_transaction_seconds', (
            select round(coalesce(max(date_part('epoch', clock_timestamp() - a.xact_start)), 0)::numeric, 3)
            from pg_catalog.pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid()),
        'transaction_id_age', (select age(d.datfrozenxid) from pg_catalog.pg_database d where d.datname = current_database()),
        'size_bytes', pg_catalog.pg_database_size(current_database()))
    from pg_catalog.pg_stat_user_tables t where t.schemaname = 'public' and t.relname = 'jobs'
$$;

comment on function public.database_health is 'The health of the database itself.';
