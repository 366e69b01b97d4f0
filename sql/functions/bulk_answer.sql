/*
 * What a bulk operation says of one batch. Where rows were named, all of them matched, and the untouched are skipped.
 * A batch that changed nothing is the last: what it met is in other hands.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.bulk_answer(named uuid[], candidates uuid[], changed integer, batch_size integer) returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_object(
        'matched', counted.matched, 'changed', bulk_answer.changed, 'skipped', counted.matched - bulk_answer.changed,
        'more', bulk_answer.named is null and bulk_answer.changed > 0 and cardinality(bulk_answer.candidates) >= bulk_answer.batch_size)
    from (select coalesce(cardinality(bulk_answer.named), cardinality(bulk_answer.candidates))) as counted (matched)
$$;

comment on function cogo_internal.bulk_answer is 'What a bulk operation says of one batch.';
