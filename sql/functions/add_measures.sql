/*
 * The measures of several periods, added up.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.add_measures(hours integer, starts_at timestamptz, parts public.job_measures[])
returns public.job_measures
language sql immutable set search_path = '' as $$
    select row(add_measures.hours, add_measures.starts_at, coalesce(r.family, '{}'), coalesce(r.us, '{}'), coalesce(r.n, '{}'),
               coalesce(w.us, '{}'), coalesce(w.n, '{}'), coalesce(e.errors, '[]'))::public.job_measures
    from (select array_agg(r.family) as family, array_agg(r.us) as us, array_agg(r.n) as n
          from (select v.family, v.us, sum(v.n)::bigint as n from unnest(add_measures.parts) as p
                cross join lateral unnest(p.run_family, p.run_us, p.run_n) as v (family, us, n) group by 1, 2) r) r
    cross join (select array_agg(w.us) as us, array_agg(w.n) as n
                from (select v.us, sum(v.n)::bigint as n from unnest(add_measures.parts) as p
                      cross join lateral unnest(p.wait_us, p.wait_n) as v (us, n) group by 1) w) w
    cross join (select jsonb_agg(to_jsonb(c)) as errors
                from (select v.class, sum(v.n) as n from unnest(add_measures.parts) as p
                      cross join lateral jsonb_to_recordset(p.errors) as v (class text, n bigint) group by 1) c) e
$$;

comment on function cogo_internal.add_measures is 'The measures of several periods, added up.';
