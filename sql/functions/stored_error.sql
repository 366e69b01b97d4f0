/*
 * An error as it is stored, for any input: a document with a class of at most 100 characters, since an index contains
 * it, a message of at most 10,000 and a detail of at most 100,000. Other keys are kept if the document is within the
 * limits of json_fault. No outcome is therefore lost because its error is too long.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.stored_error(error jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    if jsonb_typeof(stored_error.error) = 'object'
       and coalesce(length(stored_error.error ->> 'class'), 0) <= 100
       and coalesce(length(stored_error.error ->> 'message'), 0) <= 10000
       and coalesce(length(stored_error.error ->> 'detail'), 0) <= 100000
       and (cogo_internal.is_small_json(stored_error.error) or cogo_internal.json_fault(stored_error.error) is null)
    then
        return stored_error.error;
    elsif jsonb_typeof(stored_error.error) = 'object' then
        return jsonb_strip_nulls(jsonb_build_object(
            'class', left(coalesce(stored_error.error ->> 'class', 'unknown'), 100),
            'message', left(coalesce(stored_error.error ->> 'message', ''), 10000),
            'detail', left(stored_error.error ->> 'detail', 100000),
            'retryable', case when jsonb_typeof(stored_error.error -> 'retryable') = 'boolean'
                         then stored_error.error -> 'retryable' end));
    elsif stored_error.error is null or jsonb_typeof(stored_error.error) = 'null' then
        return null;
    end if;
    return jsonb_build_object('class', 'unknown', 'message', left(stored_error.error #>> '{}', 10000));
end $$;

comment on function cogo_internal.stored_error is 'An error as it is stored, cut to the limits of the tables.';
