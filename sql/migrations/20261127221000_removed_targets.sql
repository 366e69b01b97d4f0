-- A target that no process has configured for a while: see close_removed_targets.
alter table public.alert_targets add column if not exists removed_at timestamptz;
