-- A worker that found itself unable to claim says why before it ends.
alter table public.workers add column if not exists stuck_reason text;
