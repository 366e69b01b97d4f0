/*
 * Record one evaluation of a commit. Its time is the database's, so that no run is recorded into a closed window.
 *
 * run   {"gate_run_id" a new uuid that makes the call repeatable, "type" gate or gate_fix, "status" pass or
 *       fail, "branch", "commit_sha", "pull_request", "job_id", "build_seconds", "test_seconds", "lint_errors",
 *       "lint_warnings", "coverage_percent", "tests_total", "tests_failed", "eslint_artifact_id",
 *       "coverage_artifact_id", "junit_artifact_id", "tests_flaky", "branch_coverage_percent", "report_notes" an object:
 *       why a report has no numbers, by its kind, "lease_token"}; all but the first five are optional
 *
 * With a lease_token the call is fenced: only the attempt that holds the job's lease may record the run, which replaces
 * that of an earlier attempt. A job that is not in the queue has no lease and is not fenced.
 *
 * Returns {"gate_run", "created"}; if the id exists, the stored run. Errors: CQ002 lease lost, CQ005.
 */
create or replace function public.record_gate_run(run jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    new_run public.gate_runs := jsonb_populate_record(null::public.gate_runs,
        jsonb_strip_nulls(record_gate_run.run) - 'created_at' || jsonb_build_object('id', record_gate_run.run -> 'gate_run_id'));
    kept public.gate_runs;
    added integer;
begin
    perform case
        when new_run.id is null then cogo_internal.invalid_argument('A gate run needs a gate_run_id: a new uuid.')
        when new_run.type is null or new_run.type not in ('gate', 'gate_fix')
            then cogo_internal.invalid_argument('The type of a gate run must be gate or gate_fix.')
        when new_run.status is null or new_run.status not in ('pass', 'fail')
            then cogo_internal.invalid_argument('The status of a gate run must be pass or fail.')
        when coalesce(length(new_run.branch), 0) not between 1 and 255
            then cogo_internal.invalid_argument('The branch must have 1 to 255 characters.')
        when new_run.commit_sha is null or new_run.commit_sha !~ '^[0-9a-f]{7,64}$'
            then cogo_internal.invalid_argument('The commit must be 7 to 64 hexadecimal digits.')
        when new_run.pull_request < 1 then cogo_internal.invalid_argument('The pull request must be a number above 0.')
        when new_run.build_seconds not between 0 and 31536000 or new_run.test_seconds not between 0 and 31536000
            then cogo_internal.invalid_argument('build_seconds and test_seconds must be 0 to a year.')
        when least(new_run.lint_errors, new_run.lint_warnings, new_run.tests_total, new_run.tests_failed, new_run.tests_flaky) < 0
            then cogo_internal.invalid_argument('Counts must not be below 0.')
        when new_run.tests_failed > new_run.tests_total then cogo_internal.invalid_argument('tests_failed must not exceed tests_total.')
        when new_run.coverage_percent not between 0 and 100 or new_run.branch_coverage_percent not between 0 and 100
            then cogo_internal.invalid_argument('coverage_percent and branch_coverage_percent must be 0 to 100.')
        when jsonb_typeof(new_run.report_notes) <> 'object' or length(new_run.report_notes::text) > 20000
            then cogo_internal.invalid_argument('report_notes must be an object of at most 20,000 characters.')
        when exists (select from unnest(array[new_run.eslint_artifact_id, new_run.coverage_artifact_id, new_run.junit_artifact_id]) as a (id)
                     where a.id is not null and not exists (select from public.artifacts report
                                                            where report.id = a.id and report.status = 'ready'))
            then cogo_internal.invalid_argument('A report of the gate run is not a ready artifact: upload it first.')
    end;
    new_run.created_at := clock_timestamp();
    if new_run.lease_token is not null then
        -- The lock keeps the job from being recovered between the check and the commit.
        perform from public.jobs j
        where j.id = new_run.job_id and j.lease_token = new_run.lease_token and j.status = 'running'
        for share;
        if not found and exists (select from public.jobs j where j.id = new_run.job_id) then
            raise exception using errcode = 'CQ002',
                message = format('The lease on job %s is lost: its gate run is not accepted.', new_run.job_id);
        end if;
        delete from public.gate_runs r where r.id = new_run.id and r.lease_token is distinct from new_run.lease_token;
        if found then
            delete from public.alert_promotions p where p.source = 'gate_runs' and p.key = new_run.id::text;
        end if;
    end if;
    insert into public.gate_runs values (new_run.*) on conflict (id) do nothing;
    get diagnostics added = row_count;
    select * into kept from public.gate_runs r where r.id = new_run.id;
    return jsonb_build_object('gate_run', cogo_internal.gate_run_row(kept), 'created', added = 1);
end $$;

comment on function public.record_gate_run is 'Record one evaluation of a commit.';
