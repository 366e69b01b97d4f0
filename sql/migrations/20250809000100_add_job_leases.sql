-- A lease: the right to run one attempt until lease_expires_at, proved by lease_token.

alter table public.jobs add column if not exists lease_token uuid;
alter table public.jobs add column if not exists lease_expires_at timestamptz;
alter table public.jobs add column if not exists worker_id text;
