/*
 * The result of one batch of a bulk operation. If rows were named, all of them count as matched, and those that were
 * not changed as skipped. A batch that changed nothing is the last one: other sessions have locked the rows that it
 * found.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.bulk_result(named uuid[], candidates uuid[], changed integer, batch_size integer) returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_object(
        'matched', counted.matched, 'changed', bulk_result.changed, 'skipped', counted.matched - bulk_result.changed,
        'more', bulk_result.named is null and bulk_result.changed > 0 and cardinality(bulk_result.candidates) >= bulk_result.batch_size)
    from (select coalesce(cardinality(bulk_result.named), cardinality(bulk_result.candidates))) as counted (matched)
$$;

comment on function cogo_internal.bulk_result is 'The result of one batch of a bulk operation.';
