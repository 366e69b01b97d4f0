-- When the deployment was created. For an existing one, the time of its oldest row that an index finds.
alter table public.deployment add column if not exists created_at timestamptz not null default now();
update public.deployment set created_at = least(
    created_at, updated_at,
    (select min(g.created_at) from public.gate_runs g where g.created_at > '2000-01-01'),
    (select j.created_at from public.jobs j where isfinite(j.created_at) order by j.id limit 1));
