-- They take one more argument. With the old ones beside them, a call by name would be ambiguous.
drop function if exists public.explain_jobs(jsonb);
drop function if exists public.evaluate_alerts(jsonb, double precision, integer);
drop function if exists public.promote_alerts(jsonb, double precision, integer);
drop function if exists public.search_jobs(jsonb, text, text, text, text, text, double precision, text, uuid, integer);
