-- claim_jobs takes two more arguments. With the old one beside it, a call by name would be ambiguous.
drop function if exists public.claim_jobs(uuid, jsonb, text, uuid, text, integer, integer, boolean);
