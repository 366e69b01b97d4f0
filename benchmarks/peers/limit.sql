-- A minimal durable queue with fencing and history: one table and two statements. Without validation, retries and
-- cancellation, it measures only the cost of rows, indexes and commits.

create table job (
    id bigint generated always as identity primary key,
    type text not null,
    status text not null default 'queued',
    payload jsonb not null default '{}',
    priority smallint not null default 5,
    attempts integer not null default 0,
    max_attempts integer not null default 5,
    idempotency_key text,
    worker_id text,
    lease_token uuid,
    lease_expires_at timestamptz,
    next_run_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
create index job_claim on job (priority, next_run_at, id) where status = 'queued';
create unique index job_idempotency on job (type, idempotency_key) where idempotency_key is not null;

create function claim(max_jobs integer) returns jsonb language plpgsql as $$
declare
    token uuid := gen_random_uuid();
    at timestamptz := clock_timestamp();
    claimed bigint[];
begin
    with due as materialized (
        select id from job where status = 'queued' and next_run_at <= at
        order by priority, next_run_at, id limit max_jobs for update skip locked
    ), updated as (
        update job j set status = 'running', attempts = attempts + 1, worker_id = 'limit', lease_token = token,
                         lease_expires_at = at + interval '60 s', started_at = at
        from due where j.id = due.id returning j.id
    )
    select array_agg(id) into claimed from updated;
    return jsonb_build_object('token', token, 'ids', to_jsonb(coalesce(claimed, '{}')));
end $$;

create function complete(claimed jsonb) returns bigint language sql as $$
    with updated as (
        update job set status = 'succeeded', lease_expires_at = null, finished_at = clock_timestamp()
        where id in (select value::bigint from jsonb_array_elements_text(claimed -> 'ids'))
          and lease_token = (claimed ->> 'token')::uuid and status = 'running'
        returning 1
    )
    select count(*) from updated
$$;
