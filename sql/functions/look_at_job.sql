/*
 * A job as get_jobs returns it, but a payload or result whose text is longer than most_chars is null, and its beginning is
 * returned separately.
 *
 * Returns {… as get_jobs, "payload_chars", "payload_start", "result_chars", "result_start"}, or null if there is no
 * such job; `…_start` is null if the document is complete.
 */
create or replace function public.look_at_job(job_id uuid, most_chars integer default 65536) returns jsonb
language sql stable set search_path = '' as $$
    select (public.get_jobs(jsonb_build_array(look_at_job.job_id)) -> 0)
        || case when shown.payload_start is not null then '{"payload": null}'::jsonb else '{}' end
        || case when shown.result_start is not null then '{"result": null}'::jsonb else '{}' end
        || to_jsonb(shown)
    from (
        select length(texts.payload) as payload_chars, length(texts.result) as result_chars,
            case when length(texts.payload) > look_at_job.most_chars then left(texts.payload, look_at_job.most_chars) end as payload_start,
            case when length(texts.result) > look_at_job.most_chars then left(texts.result, look_at_job.most_chars) end as result_start
        from (select j.payload::text as payload, j.result::text as result
              from public.jobs j where j.id = look_at_job.job_id offset 0) texts
    ) shown
$$;

comment on function public.look_at_job is 'A job with all details, but without a long payload or result.';
