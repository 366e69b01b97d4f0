/*
 * Replace the random value that proves that an artifact store belongs to this database. The caller then writes the
 * returned value into the store. A value that was replaced here but not yet written there is returned again, so that the
 * next call completes a rotation that was interrupted between the two.
 *
 * seen   the value in the store; null registers a store that has no marker yet
 * next   the value to replace it with: a new random uuid for each call
 *
 * Returns {"status", "marker"}: `rotated` or `unfinished`: write this marker into the store; `mismatch`: the store
 * holds a value of another database, a copy of this one for example; `unknown`: this database never registered the
 * store. Errors: CQ005.
 */
create or replace function public.rotate_store_marker(
    store_id uuid, seen uuid default null, next uuid default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    known public.artifact_stores;
    replacement uuid := coalesce(rotate_store_marker.next, gen_random_uuid());
begin
    if rotate_store_marker.store_id is null then
        perform cogo_internal.invalid_argument('store_id must be a uuid.');
    end if;
    if rotate_store_marker.seen is null then
        insert into public.artifact_stores (id, marker, registered_at, rotated_at)
        values (rotate_store_marker.store_id, replacement, at, at) on conflict (id) do nothing;
    end if;

    select * into known from public.artifact_stores s where s.id = rotate_store_marker.store_id for update;
    if not found then
        return jsonb_build_object('status', 'unknown', 'marker', null);
    end if;
    if rotate_store_marker.seen is null then
        return jsonb_build_object('status', 'rotated', 'marker', known.marker);
    end if;
    -- Several workers may write their markers late and out of order: every marker of this database is proof.
    if rotate_store_marker.seen = any (known.previous_markers) then
        return jsonb_build_object('status', 'unfinished', 'marker', known.marker);
    end if;
    if rotate_store_marker.seen <> known.marker then
        return jsonb_build_object('status', 'mismatch', 'marker', null);
    end if;
    update public.artifact_stores s
    set marker = replacement, previous_markers = (array[known.marker] || known.previous_markers)[:100], rotated_at = at
    where s.id = known.id;
    return jsonb_build_object('status', 'rotated', 'marker', replacement);
end $$;

comment on function public.rotate_store_marker is 'Replace the value that proves that an artifact store belongs to this database.';
