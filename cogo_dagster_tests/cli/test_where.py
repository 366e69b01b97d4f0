"""Bulk commands with a filter: preview, plan file, execution and the log."""

from pathlib import Path
from uuid import UUID

import pytest

from cogo_dagster.cli.completion import searches
from cogo_dagster.executors.registry import job_types
from cogo_dagster.queue.bulk_actions import plan, preview, run
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import JobError, Json, Outcome
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.cli.test_bad_input import assert_rejected
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import a_worker, add, dead_letters, look, register, running_job, settle, take_one

TIMEOUT = JobError("timeout", "It did not load.", retryable=False)


def timed_out(queue: Queue, **options: Json) -> UUID:
    """Enqueue a job that timed out."""
    job = running_job(queue, **options)
    settle(queue, job, Outcome.FAILED, error=TIMEOUT)
    return job.id


def test_all_timeouts_of_yesterday_are_retried(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """Those of today and other errors stay failed; the log has one entry with the name."""
    old, today, other = timed_out(queue), timed_out(queue), failed_job(queue)
    owner.execute(
        "update public.jobs set finished_at = date_trunc('day', now() at time zone 'utc') at time zone 'utc' "
        "- interval '1 hour' where id = any (%s)",
        ([old, other],),
    )
    where = ("retry", "failed", "--where", "error:timeout finished:yesterday")
    preview = cogo.run(*where)
    assert "1 job would be retried" in preview.out
    assert "By error class: timeout 1" in preview.out
    assert look(queue, old)["status"] == "failed"
    done = cogo.ok(*where, "--name", "outage", "--no-dry-run")
    assert (done["matched"], done["changed"]) == (1, 1)
    assert [look(queue, job)["status"] for job in (old, today, other)] == ["queued", "failed", "failed"]
    [entry] = cogo.ok("list", "operations")
    assert (entry["id"], entry["filter"]["name"]) == (done["operation_id"], "outage")
    [listed] = cogo.ok("list", "jobs", "--where", f"action:{entry['id'][-8:]}")
    assert listed["id"] == str(old)
    [action] = cogo.ok("list", "actions")
    assert (action["name"], action["state"]) == ("outage", "finished")


def test_jobs_that_cannot_be_replayed_are_named_with_the_reason(
    cogo: Terminal, queue: Queue, owner: Owner, tmp_path: Path
) -> None:
    """By a filter and without one: the number for each reason, and the IDs."""
    jobs = [timed_out(queue) for _ in range(3)]
    cogo.ok("replay", "dlq", str(jobs[0]))
    where = ("replay", "dlq", "--where", "error:timeout", "--no-dry-run")
    file = str(tmp_path / "plan.json")
    cogo.ok("replay", "dlq", "--where", "error:timeout", "--plan", file)
    cogo.ok("discard", "dlq", str(jobs[1]), "--reason", "gone", "--no-dry-run")
    shown = cogo.run("replay", "dlq", "--apply", file).out
    assert "1 dead-lettered job replayed; 1 could not be replayed." in shown
    assert f"Skipped 1: discarded ({str(jobs[1])[-8:]})" in shown
    shown = cogo.run(*where).out
    assert "3 could not be replayed" in shown
    for reason, ids in (("replayed already", (jobs[2], jobs[0])), ("discarded", (jobs[1],))):
        assert f"{reason} ({', '.join(str(job)[-8:] for job in ids)})" in shown
    assert cogo.ok(*where)["left_out"]["replayed"]["job_ids"] == [str(jobs[2]), str(jobs[0])]
    held = timed_out(queue, type="gate")
    holder = add(queue, "gate", payload={"url": "https://other"}, idempotency_key=f"dlq:{held}")
    for shown in (cogo.run("replay", "dlq").out, cogo.run("replay", "dlq", "--dry-run").out):
        assert f"Skipped 1: another job has the idempotency key of the replay ({str(held)[-8:]})" in shown
        assert "changed in the meantime" not in shown
    assert look(queue, holder)["status"] == "queued"


def test_a_plan_of_a_filter_is_applied_to_its_jobs_only(cogo: Terminal, queue: Queue, tmp_path: Path) -> None:
    """Jobs that came later are not touched; the applied plan has the search in the log."""
    first = timed_out(queue)
    file = str(tmp_path / "plan.json")
    cogo.ok("replay", "dlq", "--where", "error:timeout", "--plan", file)
    later = timed_out(queue)
    assert cogo.ok("replay", "dlq", "--apply", file)["changed"] == 1
    assert [row["job_id"] for row in dead_letters(queue)] == [str(later)]
    [entry] = cogo.ok("list", "operations")
    assert entry["filter"]["query"] == "error:timeout"
    assert look(queue, first)["replayed_job_id"]


def test_jobs_of_a_filter_are_discarded_and_cancelled(cogo: Terminal, queue: Queue) -> None:
    """Those that cannot be changed are counted, and do not stop the others."""
    timed_out(queue)
    add(queue)
    shown = cogo.run("discard", "dlq", "--where", "type:browser", "--reason", "gone", "--no-dry-run")
    assert "1 dead-lettered job discarded; 1 could not be discarded" in shown.out
    assert dead_letters(queue) == []
    shown = cogo.run("cancel", "jobs", "--where", "type:browser", "--no-dry-run")
    assert "1 job cancelled; 1 could not be cancelled" in shown.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("retry", "failed", "--where", "staus:failed"), "status:"),
        (("retry", "failed", "--where", ""), "write a filter"),
        (("cancel", "jobs"), "write a filter"),
        (("retry", "failed", "01a21f54", "--where", "status:failed"), "id:DIGITS"),
        (("retry", "failed", "--since", "1h", "--where", "finished:1h"), "exclude each other"),
        (("retry", "failed", "--name", "x"), "--where"),
        (("list", "jobs", "--where", "finishd:1h"), "finished:"),
        (("cancel", "jobs", "--where", '""', "--no-dry-run"), "every job"),
        (("retry", "failed", "--where", 'error:"timeout'), "not closed"),
    ],
)
def test_a_wrong_filter_is_rejected(cogo: Terminal, queue: Queue, arguments: tuple[str, ...], says: str) -> None:
    """One message, exit code 2, and nothing is changed."""
    job = timed_out(queue)
    assert_rejected(cogo.run(*arguments), 2, says)
    assert look(queue, job)["status"] == "failed"


def test_an_interrupted_action_is_continued(cogo: Terminal, queue: Queue) -> None:
    """By its last digits; the rest of its jobs are changed, and jobs that match later are not."""
    for _ in range(3):
        timed_out(queue)
    found = preview(queue, "retry", JobSearch.parse("error:timeout"))
    action = plan(queue, "retry", [item.document for item in found.items], "anna", name="outage")
    run(queue, action.id, "anna", limit=1)
    timed_out(queue, priority=0)
    part = str(action.id)[-8:]
    assert cogo.ok("action", "show", part)["state"] == "running"
    assert "Stopped; 1 job retried. Continue it with" in cogo.run("action", "stop", part).out
    assert cogo.run("action", "continue", part, "--limit", "1").out == "2 jobs retried, 1 left.\n"
    assert cogo.run("action", "continue", part).out == "3 jobs retried.\n"
    assert "No job of the action" in cogo.run("action", "continue", part).out
    assert "has finished already" in cogo.run("action", "stop", part).out
    assert len(dead_letters(queue)) == 1
    assert_rejected(cogo.run("action", "continue", "ffffffff"), 1, "No action")


def test_a_long_age_narrows_a_filter(cogo: Terminal, queue: Queue) -> None:
    """Durations of many seconds are terms too."""
    timed_out(queue)
    assert cogo.ok("retry", "failed", "--where", "status:failed", "--since", "30d")["matched"] == 1
    assert len(cogo.ok("list", "jobs", "--where", "error:timeout", "--since", "52w")) == 1


def test_options_narrow_a_filter(cogo: Terminal, queue: Queue) -> None:
    """They are terms of the filter, which is printed."""
    timed_out(queue)
    failed_job(queue, "gate")
    shown = cogo.run("retry", "failed", "--where", "status:failed", "--type", "gate", EXECUTOR_ID="mac")
    assert "Filter: status:failed type:gate executor:mac" in shown.out
    assert cogo.ok("list", "jobs", "--where", "-type:gate", "--status", "failed,queued")[0]["type"] == "browser"


def test_leases_are_recovered_by_a_plan(cogo: Terminal, queue: Queue, owner: Owner, tmp_path: Path) -> None:
    """A lease that expired after the plan was made stays, and one that was renewed since is skipped."""
    jobs = [running_job(queue) for _ in range(3)]
    expire = "update public.jobs set lease_expires_at = now() - interval '1 h' where id = any (%s)"
    owner.execute(expire, ([jobs[0].id, jobs[1].id],))
    file = str(tmp_path / "plan.json")
    assert cogo.ok("recover", "leases", "--plan", file)["matched"] == 2
    owner.execute(expire, ([jobs[2].id],))
    owner.execute("update public.jobs set lease_expires_at = now() + interval '1 h' where id = %s", (jobs[1].id,))
    done = cogo.ok("recover", "leases", "--apply", file)
    assert (done["changed"], done["skipped"]) == (1, 1)
    assert [look(queue, job)["status"] for job in jobs] == ["queued", "running", "running"]


def test_workers_are_listed_with_the_leases_that_they_lost(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """The table and the JSON of each start of the worker have the number of its name."""
    loser, other = a_worker("loser"), a_worker("other")
    register(queue, loser)
    register(queue, other)
    add(queue)
    take_one(queue, worker=loser)
    owner.execute("update public.jobs set lease_expires_at = now() - interval '1 h' where status = 'running'")
    cogo.ok("recover", "leases")
    assert {row["worker_id"]: row["leases_lost_24h"] for row in cogo.ok("list", "workers")} == {"loser": 1, "other": 0}
    assert "leases lost" in cogo.run("list", "workers").out
    owner.execute("delete from public.workers where worker_id = 'loser'")
    rows = {row["worker_id"]: row for row in cogo.ok("list", "workers")}
    assert (rows["loser"]["leases_lost_24h"], rows["loser"]["instance_id"]) == (1, None)
    assert "unregistered" in cogo.run("list", "workers").out
    assert "loser" not in cogo.run("list", "workers", "--alive").out


def test_operations_and_silences_are_named_by_their_last_digits(cogo: Terminal, queue: Queue) -> None:
    """As the lists show them; those of jobs and artifacts have their own tests."""
    timed_out(queue)
    discard = cogo.ok("discard", "dlq", "--reason", "gone", "--no-dry-run")
    cogo.ok("undo", "discard", discard["operation_id"][-8:])
    assert len(dead_letters(queue)) == 1
    silence = cogo.ok("alerts", "silence", "--kind", "job_failed", "--for", "1h")
    assert cogo.ok("alerts", "unsilence", silence["silence_id"][-8:])["changed"] is True
    assert_rejected(cogo.run("alerts", "unsilence", "ffffffff"), 1, "No silence")
    assert_rejected(cogo.run("alerts", "unsilence", "abc"), 2, "8 or more")


def test_the_shell_completes_a_filter(queue: Queue, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qualifiers and their values; those of the queue if its database runs."""
    timed_out(queue)
    monkeypatch.setenv("COGO_DATABASE_URL", dsn)
    assert [text for text, _ in searches("error:timeout finished:y")] == ["error:timeout finished:yesterday"]
    assert [text for text, _ in searches("error:")] == ["error:timeout"]
    monkeypatch.setenv("COGO_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert searches("error:") == []
    assert "status:" in [text for text, _ in searches("")]


def test_a_pause_of_a_type_that_an_executor_runs_is_not_called_misspelt(cogo: Terminal, queue: Queue) -> None:
    """On an empty queue: all types of the installed executors, and those of live workers of other packages."""
    register(queue, a_worker(), families=("acme",))
    for name in (*(kind.name for kind in job_types()), "acme.report"):
        assert cogo.ok("pause", "type", name)["known"] is True, name
    for name in ("brwoser", "browser.pfd", "acne.report"):
        assert cogo.ok("pause", "type", name)["known"] is False, name
