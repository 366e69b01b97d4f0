/*
 * Ask for a call of an outside service, by a bucket of tokens that all workers share. An open circuit never grants.
 * A call repeated because its reply was lost takes its tokens twice: the service is asked less often, never more.
 *
 * name                the bucket, 1 to 200 characters; it is made full when it is first asked for
 * capacity            tokens of a full bucket: how many calls may come at once
 * refill_per_second   tokens that come back in a second
 * cost                tokens of this call, at most the capacity
 *
 * Returns {"granted", "wait_seconds", "circuit"}: `wait_seconds` is 0 when granted, else the least time until it can be;
 * `circuit` is null, or {"open_until", "reason"} while it is open. Errors: CQ005.
 */
create or replace function public.acquire_rate(
    name text, capacity double precision, refill_per_second double precision, cost double precision default 1
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz;
    bucket public.rate_limits;
    level double precision;
    granted boolean;
begin
    perform cogo_internal.check_rate_name(acquire_rate.name);
    -- Not a number is larger than all numbers here, and null is between nothing.
    if (acquire_rate.capacity > 0 and acquire_rate.capacity <= 1e9
        and acquire_rate.refill_per_second >= 1e-9 and acquire_rate.refill_per_second <= 1e9
        and acquire_rate.cost >= 0 and acquire_rate.cost <= acquire_rate.capacity) is not true
    then
        perform cogo_internal.invalid_argument('capacity must be above 0, refill_per_second at least 1e-9, both at most 1e9, '
            'and cost between 0 and the capacity.');
    end if;

    insert into public.rate_limits as r (name) values (acquire_rate.name) on conflict do nothing;
    select * into bucket from public.rate_limits r where r.name = acquire_rate.name for update;
    at := clock_timestamp();  -- what came back while this call waited for the row is counted
    if bucket.open_until > at then
        return jsonb_build_object('granted', false, 'wait_seconds', coalesce(cogo_internal.seconds_between(at, bucket.open_until), 31536000),
            'circuit', jsonb_build_object('open_until', bucket.open_until, 'reason', bucket.reason));
    end if;

    level := least(acquire_rate.capacity, coalesce(bucket.tokens, acquire_rate.capacity) + acquire_rate.refill_per_second
        * greatest(coalesce(cogo_internal.seconds_between(bucket.refilled_at, at), 0), 0)::double precision);
    granted := level >= acquire_rate.cost;
    if granted then
        level := level - acquire_rate.cost;
    end if;
    update public.rate_limits r set tokens = level, refilled_at = at where r.name = acquire_rate.name;
    return jsonb_build_object('granted', granted, 'circuit', null,
        'wait_seconds', case when granted then 0 else (acquire_rate.cost - level) / acquire_rate.refill_per_second end);
end $$;

comment on function public.acquire_rate is 'Ask for a call of an outside service, within its rate limit.';
