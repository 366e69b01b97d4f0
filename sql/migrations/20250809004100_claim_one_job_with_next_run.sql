-- claim_one_job honours next_run_at. Its body lives in sql/functions; here only what came before it goes,
-- because `create or replace` refuses a changed return type.

do $$
declare
    old record;
begin
    for old in
        select oid::regprocedure as signature from pg_catalog.pg_proc
        where pronamespace = 'public'::regnamespace and proname = 'claim_one_job'
    loop
        execute format('drop function %s', old.signature);
    end loop;
end $$;
