/*
 * The status of a running job after its attempt: the decision of settle_jobs as a pure function. Success takes
 * precedence over a cancel request; the 100th snooze counts as a permanent failure.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.status_after(
    outcome text, retryable boolean, cancel_requested boolean, attempts integer, max_attempts integer, snoozes integer
) returns text
language sql immutable
return case
    when outcome = 'succeeded' then 'succeeded'
    when outcome = 'cancelled' or cancel_requested then 'cancelled'
    when outcome = 'failed' and (retryable is false or attempts >= max_attempts) then 'failed'
    when outcome = 'snoozed' and snoozes >= 99 then 'failed'
    else 'queued'
end;

comment on function cogo_internal.status_after is 'The status of a running job after its attempt.';
