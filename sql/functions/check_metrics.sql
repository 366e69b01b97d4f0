/*
 * Check the metrics of a heartbeat: {"counters": {name: number}, "latency": {"bounds_seconds": [number], "counts":
 * [number], "sum_seconds": number}}, where no number is negative, with at most 100,000 bytes. Other keys may have any
 * value. Null is valid. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_metrics(metrics jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
    number constant jsonpath := 'strict $ ? (@.type() == "number" && @ >= 0 && @ <= 1000000000000000)';
    counters constant jsonb := coalesce(check_metrics.metrics -> 'counters', '{}');
    latency constant jsonb := coalesce(check_metrics.metrics -> 'latency', '{}');
begin
    if check_metrics.metrics is null then
        return;
    end if;
    perform case
        when jsonb_typeof(check_metrics.metrics) <> 'object'
            then cogo_internal.invalid_argument('metrics must be an object such as {"counters": {"claimed": 3}}.')
        when octet_length(cogo_internal.checked_json(check_metrics.metrics, 'metrics')::text) > 100000
            then cogo_internal.invalid_argument('metrics must have at most 100,000 bytes.')
        when jsonb_typeof(counters) <> 'object' or jsonb_typeof(latency) <> 'object'
            then cogo_internal.invalid_argument('counters and latency must be objects.')
    end;
    if exists (select from jsonb_each(counters) as c (name, value)
               where length(c.name) > 100 or not jsonb_path_exists(c.value, number)) then
        perform cogo_internal.invalid_argument('Counters must be non-negative numbers, with names of at most 100 characters.');
    end if;
    if latency <> '{}' and (
        jsonb_typeof(latency -> 'bounds_seconds') is distinct from 'array'
        or jsonb_typeof(latency -> 'counts') is distinct from 'array'
        or not coalesce(jsonb_path_exists(latency -> 'sum_seconds', number), false)
        or exists (select from jsonb_array_elements((latency -> 'bounds_seconds') || (latency -> 'counts')) as n (value)
                   where not jsonb_path_exists(n.value, number)))
    then
        perform cogo_internal.invalid_argument('latency must have bounds_seconds, counts and sum_seconds, with non-negative numbers.');
    end if;
end $$;

comment on function cogo_internal.check_metrics is 'Check the metrics of a heartbeat.';
