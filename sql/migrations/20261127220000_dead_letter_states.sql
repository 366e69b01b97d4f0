-- An alert is resolved when no dead-lettered job of its cause is open or being retried: dead_letter_cause_state.
create index if not exists jobs_dlq_acted_on on public.jobs_dlq (fingerprint, failed_at)
    where not superseded and discarded_at is null and (closed_at is not null or replayed_at is not null);
