/*
 * Two quantiles of percentile_cont as a document, rounded to milliseconds.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.median_and_p95(quantiles double precision[]) returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_object(
        'p50', round(median_and_p95.quantiles[1]::numeric, 3)::double precision,
        'p95', round(median_and_p95.quantiles[2]::numeric, 3)::double precision)
$$;

comment on function cogo_internal.median_and_p95 is 'Two quantiles as a document.';
