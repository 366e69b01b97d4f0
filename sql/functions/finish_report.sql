/*
 * Mark an uploaded and verified report as ready: pending -> ready. Safe to repeat. Returns {"changed"}. Errors: CQ005
 * the report was created more than ten minutes ago, so the sweeper may be deleting it.
 */
create or replace function public.finish_report(artifact_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
    changed integer;
begin
    update public.artifacts a set status = 'ready', ready_at = coalesce(a.ready_at, clock_timestamp())
    where a.id = finish_report.artifact_id and a.job_id is null
      and (a.status = 'ready' or a.status = 'pending' and a.created_at > clock_timestamp() - interval '10 minutes');
    get diagnostics changed = row_count;
    if changed = 0 then
        perform cogo_internal.invalid_argument('The report was created more than ten minutes ago, or does not exist: upload it again.');
    end if;
    return jsonb_build_object('changed', changed);
end $$;

comment on function public.finish_report is 'Mark an uploaded and verified report as ready.';
