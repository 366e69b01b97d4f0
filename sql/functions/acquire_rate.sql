/*
 * Take tokens from the rate limit of an external service: a token bucket that all workers share. Nothing is granted
 * while its circuit is open. A call repeated because its reply was lost takes its tokens twice: the service is called
 * less often than the limit allows, never more often.
 *
 * name                the rate limit, 1 to 200 characters; its first use creates it with a full bucket
 * capacity            tokens in a full bucket: the maximum number of calls at once
 * refill_per_second   tokens added per second
 * cost                tokens for this call, at most the capacity
 *
 * Returns {"granted", "wait_seconds", "circuit"}: `wait_seconds` is 0 when granted, else the minimum time until it can be;
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
    -- `is not true` also rejects null; NaN sorts above all numbers and exceeds the upper bounds.
    if (acquire_rate.capacity > 0 and acquire_rate.capacity <= 1e9
        and acquire_rate.refill_per_second >= 1e-9 and acquire_rate.refill_per_second <= 1e9
        and acquire_rate.cost >= 0 and acquire_rate.cost <= acquire_rate.capacity) is not true
    then
        perform cogo_internal.invalid_argument('capacity must be above 0, refill_per_second at least 1e-9, both at most 1e9, '
            'and cost between 0 and the capacity.');
    end if;

    insert into public.rate_limits as r (name) values (acquire_rate.name) on conflict do nothing;
    select * into bucket from public.rate_limits r where r.name = acquire_rate.name for update;
    at := clock_timestamp();  -- after the lock is taken, so that tokens refilled while waiting count
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

comment on function public.acquire_rate is 'Take tokens from the rate limit of an external service.';
