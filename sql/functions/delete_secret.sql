/*
 * Delete a secret. Returns {"environment", "reference", "changed"}; `changed` is false if there was no such secret.
 * Errors: CQ005.
 */
create or replace function public.delete_secret(environment text, reference text, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    removed boolean;
begin
    perform cogo_internal.check_reference(delete_secret.environment, delete_secret.reference);
    delete from public.secrets s
    where s.environment = delete_secret.environment and s.reference = delete_secret.reference;
    removed := found;
    if removed then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(delete_secret.actor, session_user)),
            'delete_secret',
            jsonb_build_object('environment', delete_secret.environment, 'reference', delete_secret.reference),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    return jsonb_build_object(
        'environment', delete_secret.environment, 'reference', delete_secret.reference, 'changed', removed);
end $$;

comment on function public.delete_secret is 'Delete a secret.';
