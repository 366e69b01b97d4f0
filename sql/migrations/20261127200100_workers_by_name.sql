-- For the question whether a worker of the same name replaced a silent one: see evaluate_alerts.
create index if not exists workers_name on public.workers (worker_id, started_at);
