/*
 * The delay after failed attempt number `attempts`: 10 s, doubled per attempt, at most an hour,
 * half of it fixed and half random ("equal jitter"), so that jobs that failed together do not retry together.
 *
 *     attempts   1        2         3         4          9 and later
 *     seconds    5-10     10-20     20-40     40-80      1280-2560, then 1800-3600
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.backoff_seconds(attempts integer) returns double precision
language sql volatile set search_path = '' as $$
    select ceiling_seconds / 2 * (1 + random())
    from (select least(10 * power(2, least(greatest(backoff_seconds.attempts, 1), 30) - 1), 3600)) as t (ceiling_seconds)
$$;

comment on function cogo_internal.backoff_seconds is 'Seconds to wait after a failed attempt: exponential, capped, with equal jitter.';
