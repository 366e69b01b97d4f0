-- The workers of a name that have not stopped, or stopped lately: see evaluate_alerts.
create index if not exists workers_ended on public.workers (worker_id, stopped_at);
