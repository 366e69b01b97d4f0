/*
 * Check that a kind of alerts exists: this release raises it, or an alert has it. Null is accepted. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_alert_kind(kind text) returns void
language plpgsql stable set search_path = '' as $$
begin
    if check_alert_kind.kind <> all (cogo_internal.alert_kinds())
       and not exists (select from public.alerts a where a.kind = check_alert_kind.kind) then
        perform cogo_internal.invalid_argument(format('There is no alert kind %s: use one of %s.', quote_literal(left(check_alert_kind.kind, 100)),
                                               array_to_string(cogo_internal.alert_kinds(), ', ')));
    end if;
end $$;

comment on function cogo_internal.check_alert_kind is 'Check that a kind of alerts exists.';
