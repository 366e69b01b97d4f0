-- What a gate run's reports say beside the first numbers, and why one of them could not be read.

alter table public.gate_runs add column if not exists tests_flaky integer;
alter table public.gate_runs add column if not exists branch_coverage_percent double precision;
-- By the kind of report: {"junit": "report unread: …"}.
alter table public.gate_runs add column if not exists report_notes jsonb;

-- It has another argument now.
drop function if exists public.announce(text, text, text, jsonb, jsonb);
