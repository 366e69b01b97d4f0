/*
 * End a silence early. Returns {"silence_id", "changed"}; `changed` is false if the silence has already ended or does
 * not exist.
 */
create or replace function public.end_alert_silence(silence_id uuid, actor text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    ended boolean;
begin
    update public.alert_silences s set ends_at = at where s.id = end_alert_silence.silence_id and s.ends_at > at;
    ended := found;
    if ended then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(end_alert_silence.actor, session_user)),
            'end_alert_silence', jsonb_build_object('silence_id', end_alert_silence.silence_id),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    return jsonb_build_object('silence_id', end_alert_silence.silence_id, 'changed', ended);
end $$;

comment on function public.end_alert_silence is 'End a silence early.';
