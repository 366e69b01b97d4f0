-- A schema as it is written by hand in psql: numbers for ids, an enum for the status, json, times without a zone.
create type public.job_status as enum ('waiting', 'active', 'done', 'error', 'canceled');

create table public.executors (
    id bigserial primary key,
    label text not null,
    created_at timestamp not null default now()
);

create table public.jobs (
    id bigserial primary key,
    executor_id bigint references public.executors (id),
    type text not null,
    status public.job_status not null default 'waiting',
    payload json,
    error text,
    priority integer not null default 50 check (priority between 0 and 100),
    attempts smallint not null default 0,
    locked_by text,
    locked_at timestamp,
    created_at timestamp not null default now(),
    finished_at timestamp
);
create index jobs_waiting on public.jobs (priority desc, id) where status = 'waiting';
create index jobs_finished on public.jobs (finished_at) where status in ('done', 'error');

create table public.worker_heartbeats (
    id bigserial primary key,
    worker_id varchar(100) not null,
    seen_at timestamp not null default now()
);

create table public.worker_devices (
    worker_id varchar(100) primary key,
    device json not null default '{}',
    created_at timestamp not null default now()
);

create table public.artifacts (
    id bigserial primary key,
    job_id bigint not null references public.jobs (id) on delete cascade,
    kind text not null,
    path text not null,
    size_bytes integer,
    created_at timestamp not null default now()
);

create table public.jobs_dlq (
    id bigserial primary key,
    job_id bigint not null unique,
    executor_id bigint,
    type text not null,
    payload json not null,
    error text,
    created_at timestamp not null default now()
);

create function public.claim_one_job(worker_id text) returns public.jobs language sql as $$
    update public.jobs set status = 'active', locked_by = worker_id, locked_at = now()
    where id = (select id from public.jobs where status = 'waiting' order by priority desc limit 1 for update skip locked)
    returning *
$$;
create function public.recover_leases() returns integer language sql as $$
    with recovered as (update public.jobs set status = 'waiting' where status = 'active' returning 1)
    select count(*)::integer from recovered
$$;

insert into public.executors (label) values ('mac'), ('linux');
insert into public.jobs (executor_id, type, status, payload, error, priority, attempts, finished_at) values
    (null, 'browser', 'waiting', '{"url": "one"}', null, 50, 0, null),
    (2, 'figma', 'waiting', null, null, 0, 0, null),
    (null, 'browser', 'active', '{}', null, 100, 1, null),
    (null, 'browser', 'done', '{}', null, 50, 1, now()),
    (null, 'browser', 'error', '{}', 'It broke.', 50, 3, null),
    (null, 'browser', 'canceled', '{}', null, 50, 0, null);
insert into public.worker_heartbeats (worker_id) values ('old-worker'), ('old-worker');
insert into public.worker_devices (worker_id, device) values ('old-worker', '{"os": "linux"}');
insert into public.artifacts (job_id, kind, path) values (4, 'screenshot', 'shots/4.png'), (5, 'trace', 'traces/5.zip');
insert into public.jobs_dlq (job_id, type, payload, error) values (5, 'browser', '{}', 'It broke.');
