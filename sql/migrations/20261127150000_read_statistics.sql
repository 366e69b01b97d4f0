-- held_snapshot reads how old the transactions of other roles are. Where this role may not grant that, ages are counted
-- in transactions.
do $$ begin
    grant pg_read_all_stats to service_role;
exception when insufficient_privilege then null;
end $$;
