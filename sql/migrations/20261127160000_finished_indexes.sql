-- A purge reads jobs in the order of finished_at and id. Without the status in its key, the entry that each success
-- writes is as long as before. `cogo db migrate` builds them after the migration, without blocking writers.
do $$ begin
    if current_setting('cogo.indexes_later', true) = 'on' then
        return;
    end if;
    create index if not exists jobs_succeeded on public.jobs (finished_at, id) where status = 'succeeded';
    create index if not exists jobs_unsuccessful_finished on public.jobs (status, finished_at, id)
        where status in ('failed', 'cancelled');
    drop index if exists public.jobs_finished;
end $$;
