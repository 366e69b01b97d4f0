-- For the list of artifacts, which reads each status by its index. `cogo db migrate` builds it after the migration, without
-- blocking writers.
do $$ begin
    if current_setting('cogo.indexes_later', true) = 'on' then
        return;
    end if;
    create index if not exists artifacts_expired on public.artifacts (created_at) where status = 'expired';
end $$;
