/*
 * Check the arguments that all bulk operations have. Returns the ids named by job_ids or items; null if neither is
 * given, which means all matching rows.
 *
 * job_ids      ["uuid", …]: only these rows, each of which must be eligible
 * items        [{"id", "version"}, …]: only these rows of a plan; those that changed since are skipped
 * batch_size   1 to 1,000
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.bulk_arguments(job_ids jsonb, items jsonb, batch_size integer) returns uuid[]
language plpgsql immutable set search_path = '' as $$
begin
    if bulk_arguments.batch_size is null or bulk_arguments.batch_size not between 1 and 1000 then
        perform cogo_internal.invalid_argument('batch_size must be 1 to 1000.');
    end if;
    if bulk_arguments.job_ids is not null and bulk_arguments.items is not null then
        perform cogo_internal.invalid_argument('Give job_ids or items, not both.');
    end if;
    if coalesce(jsonb_typeof(bulk_arguments.job_ids), 'array') <> 'array'
       or coalesce(jsonb_typeof(bulk_arguments.items), 'array') <> 'array' then
        perform cogo_internal.invalid_argument('job_ids must be an array of uuids, and items an array such as [{"id": a uuid, "version": "…"}].');
    end if;
    if coalesce(jsonb_array_length(bulk_arguments.job_ids), jsonb_array_length(bulk_arguments.items), 0) > 1000 then
        perform cogo_internal.invalid_argument('At most 1,000 rows can be named in one call.');
    end if;
    return case
        when bulk_arguments.job_ids is not null
            then array(select distinct value::uuid from jsonb_array_elements_text(bulk_arguments.job_ids))
        when bulk_arguments.items is not null
            then array(select distinct (value ->> 'id')::uuid from jsonb_array_elements(bulk_arguments.items))
    end;
end $$;

comment on function cogo_internal.bulk_arguments is 'Check the arguments of a bulk operation; the ids that were named.';
