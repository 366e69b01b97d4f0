/*
 * Resume claims of a paused type or by a paused executor id.
 * Returns {"kind", "name", "changed"}; `changed` is false if it was not paused. Errors: CQ005.
 */
create or replace function public.resume(kind text, name text, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    removed boolean;
begin
    perform cogo_internal.check_pausable(resume.kind, resume.name);
    delete from public.paused p where p.kind = resume.kind and p.name = resume.name;
    removed := found;
    if removed then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(resume.actor, session_user)), 'resume',
            jsonb_build_object('kind', resume.kind, 'name', resume.name), '{"matched": 1, "changed": 1, "skipped": 0}');
        perform cogo_internal.wake_workers();
    end if;
    return jsonb_build_object('kind', resume.kind, 'name', resume.name, 'changed', removed);
end $$;

comment on function public.resume is 'Resume claims of a paused type or by a paused executor.';
