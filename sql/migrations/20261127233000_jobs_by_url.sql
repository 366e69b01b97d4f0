-- The last success of a URL is shown beside a failure. Jobs without a URL have no entry.
-- `cogo db migrate` builds the index after the migration, without blocking writers.
do $$ begin
    if current_setting('cogo.indexes_later', true) = 'on' then
        return;
    end if;
    create index if not exists jobs_succeeded_url on public.jobs (md5(payload ->> 'url'), finished_at)
        where status = 'succeeded' and jsonb_typeof(payload -> 'url') = 'string';
end $$;
