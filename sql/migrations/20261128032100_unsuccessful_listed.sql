-- list_jobs filters failed and cancelled jobs by the columns of the index, without their rows. No success writes an entry.
-- `cogo db migrate` builds it after the migration, without blocking writers.
do $$ begin
    if current_setting('cogo.indexes_later', true) = 'on' then
        return;
    end if;
    create index if not exists jobs_unsuccessful_listed on public.jobs (status, id) include (type, executor_id, created_at)
        where status in ('failed', 'cancelled');
    drop index if exists public.jobs_unsuccessful;
end $$;
