/*
 * A gate run as lists and pages show it. The id of a report whose artifact was deleted is null.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.gate_run_row(run public.gate_runs) returns jsonb
language sql stable set search_path = '' set timezone = 'UTC' as $$
    select jsonb_build_object(
        'gate_run_id', run.id, 'type', run.type, 'status', run.status, 'branch', run.branch,
        'commit_sha', run.commit_sha, 'pull_request', run.pull_request, 'job_id', run.job_id,
        'created_at', run.created_at, 'build_seconds', run.build_seconds, 'test_seconds', run.test_seconds,
        'lint_errors', run.lint_errors, 'lint_warnings', run.lint_warnings, 'coverage_percent', run.coverage_percent,
        'tests_total', run.tests_total, 'tests_failed', run.tests_failed, 'tests_flaky', run.tests_flaky,
        'branch_coverage_percent', run.branch_coverage_percent, 'report_notes', run.report_notes,
        'eslint_artifact_id', (select a.id from public.artifacts a where a.id = run.eslint_artifact_id and a.status = 'ready'),
        'coverage_artifact_id', (select a.id from public.artifacts a where a.id = run.coverage_artifact_id and a.status = 'ready'),
        'junit_artifact_id', (select a.id from public.artifacts a where a.id = run.junit_artifact_id and a.status = 'ready'))
$$;

comment on function cogo_internal.gate_run_row is 'The document a list returns for one gate run.';
