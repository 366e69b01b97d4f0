-- The oldest release of the code that may work on this schema; null says that none but the schema's own may.
alter table public.deployment add column if not exists oldest_client_release integer;
