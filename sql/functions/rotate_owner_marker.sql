/*
 * Put the next marker in the place of the expected one: compare and swap. The artifact store keeps the same marker, and a
 * sweep that finds another one there does not delete: the database or the store is a copy.
 * Repeating the call is safe.
 *
 * expected   The marker that the caller found in the store; null: none was set yet
 *
 * Returns {"rotated", "marker": the one that stands now}. Errors: CQ005.
 */
create or replace function public.rotate_owner_marker(expected uuid, next uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept uuid;
begin
    if rotate_owner_marker.next is null then
        perform public.invalid_argument('next must be a uuid.');
    end if;
    update public.deployment d set owner_marker = rotate_owner_marker.next
    where d.owner_marker is not distinct from rotate_owner_marker.expected;
    select d.owner_marker into kept from public.deployment d limit 1;
    return jsonb_build_object('rotated', kept is not distinct from rotate_owner_marker.next, 'marker', kept);
end $$;

comment on function public.rotate_owner_marker is 'Compare and swap the marker that says whose artifact store it is.';
