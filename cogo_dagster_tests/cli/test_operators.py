"""Bulk operations: dry runs, plans, execution, and rejected input."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from cogo_dagster.bootstrap import open_application
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json
from cogo_dagster.settings import load_settings
from cogo_dagster_tests.cli.terminal import Terminal
from cogo_dagster_tests.cli.test_bad_input import assert_rejected
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.conformance.test_retry import failed_job
from cogo_dagster_tests.queue.steps import add, dead_letters, look, running_job, settle

UNSET: dict[str, Any] = dict.fromkeys(("COGO_DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"), "")


@pytest.fixture(params=["postgres", "supabase"])
def way(request: pytest.FixtureRequest) -> str:
    """Run each test over both transports, configured by the environment only."""
    chosen: str = request.param
    return chosen


def test_retry_failed_is_a_dry_run_by_default(cogo: Terminal, queue: Queue) -> None:
    """DRY_RUN=false or --no-dry-run retries the jobs."""
    job_id = failed_job(queue)
    dry = cogo.ok("retry:failed")
    assert (dry["matched"], dry["changed"], dry["dry_run"]) == (1, 0, True)
    assert [item["id"] for item in dry["items"]] == [str(job_id)]
    assert look(queue, job_id)["status"] == "failed"
    done = cogo.ok("retry:failed", DRY_RUN="false")
    assert (done["matched"], done["changed"], done["dry_run"]) == (1, 1, False)
    assert look(queue, job_id)["status"] == "queued"


def test_retry_failed_reads_variables(cogo: Terminal, queue: Queue) -> None:
    """TYPE_PREFIX, EXECUTOR_ID, LIMIT and RESET_ATTEMPTS set the options."""
    page = failed_job(queue, max_attempts=1)
    failed_job(queue, "gate")
    assert cogo.ok("retry", "failed", TYPE_PREFIX="brow")["items"][0]["id"] == str(page)
    assert cogo.ok("retry", "failed", EXECUTOR_ID="unknown")["matched"] == 0
    assert cogo.ok("retry", "failed", LIMIT="1")["matched"] == 1
    cogo.ok("retry", "failed", "--no-dry-run", TYPE_PREFIX="browser", RESET_ATTEMPTS="true")
    assert look(queue, page)["attempts"] == 0


def test_a_dry_run_prints_the_jobs_and_the_next_step(cogo: Terminal, queue: Queue) -> None:
    """The dry run prints one line per job, the total, and the option that executes it."""
    failed_job(queue, max_attempts=1)
    *_, row, last = cogo.run("retry", "failed").out.splitlines()
    assert "1/1 → 1/2" in row
    assert last == "1 job would be retried. Nothing was changed; use --no-dry-run (or DRY_RUN=false) to make changes."
    assert cogo.run("retry", "failed", "--no-dry-run").out == "1 job retried.\n"


def test_a_plan_is_applied_to_its_rows_only(cogo: Terminal, queue: Queue, tmp_path: Path) -> None:
    """Jobs that failed later are not in the plan, jobs changed since are skipped, and a plan applies once."""
    planned, changed = failed_job(queue), failed_job(queue)
    file = str(tmp_path / "plan.json")
    cogo.ok("retry", "failed", "--plan", file)
    cogo.ok("retry", "failed", str(changed), "--no-dry-run")
    later = failed_job(queue, "gate")
    done = cogo.ok("retry", "failed", "--apply", file)
    assert (done["matched"], done["changed"], done["skipped"]) == (2, 1, 1)
    assert [look(queue, id)["status"] for id in (planned, changed, later)] == ["queued", "queued", "failed"]
    assert cogo.ok("retry", "failed", "--apply", file)["changed"] == 0


def test_a_plan_of_another_database_is_rejected(cogo: Terminal, queue: Queue, tmp_path: Path) -> None:
    """The IDs of the plan may not exist there."""
    assert_plan_rejected(cogo, queue, tmp_path, "another database", deployment_id=str(uuid4()))


def test_a_stale_plan_is_rejected(cogo: Terminal, queue: Queue, tmp_path: Path) -> None:
    """A plan is valid for a day; one made in the future is rejected too."""
    for days in (-2, 2):
        made_at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        assert_plan_rejected(cogo, queue, tmp_path, "stale", made_at=made_at)


def test_a_plan_of_another_operation_is_rejected(cogo: Terminal, queue: Queue, tmp_path: Path) -> None:
    """A plan to purge jobs cannot be applied by a retry."""
    assert_plan_rejected(cogo, queue, tmp_path, "is for purge_jobs", operation="purge_jobs")


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "cogo plan 2"},
        {"items": [{"id": "x", "version": "1"}]},
        {"items": [{"id": "01a20e7e-05b7-7aaa-bad6-5ea8efa1a0bb"}]},
        {"items": 7},
        {"deployment_id": None},
        {"made_at": "yesterday"},
        {"made_at": "2026-01-01T00:00:00"},
        {"arguments": 7},
    ],
    ids=lambda damage: str(next(iter(damage.items())))[:30],
)
def test_an_invalid_plan_is_rejected(cogo: Terminal, queue: Queue, tmp_path: Path, damage: Json) -> None:
    """Nothing of an invalid plan is applied."""
    assert_plan_rejected(cogo, queue, tmp_path, "plan", **damage)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_file_that_is_not_a_plan_is_rejected(nowhere: Terminal, cogo: Terminal, tmp_path: Path, text: str) -> None:
    """The message names the option that creates a plan."""
    file = tmp_path / "plan.json"
    file.write_text(text)
    assert_rejected(cogo.run("retry", "failed", "--apply", str(file)), 2, "--plan FILE")
    assert_rejected(cogo.run("retry", "failed", "--apply", str(tmp_path / "missing.json")), 2, "--plan FILE")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plan", "p", "--no-dry-run"), "--plan makes a dry run"),
        (("--apply", "p", "--dry-run"), "exclude each other"),
        (("--apply", "p", "--type", "browser"), "remove --type"),
        (("--apply", "p", "--plan", "q"), "remove --plan"),
        (("--limit", "0"), "--limit"),
        (("--limit", "-5"), "--limit"),
        (("--limit", "1000001"), "--limit"),
        (("not-a-uuid",), "valid UUID"),
    ],
)
def test_contradictory_options_are_rejected(nowhere: Terminal, options: tuple[str, ...], message: str) -> None:
    """Contradictory options are rejected without a connection."""
    assert_rejected(nowhere.run("retry", "failed", *options), 2, message)


@pytest.mark.parametrize(
    ("command", "environment", "message"),
    [
        ("retry:failed", {"LIMIT": "-1"}, "LIMIT"),
        ("retry:failed", {"LIMIT": "many"}, "LIMIT"),
        ("retry:failed", {"DRY_RUN": "perhaps"}, "DRY_RUN"),
        ("purge:jobs", {"JOB_TTL_DAYS": "-1"}, "JOB_TTL_DAYS"),
        ("purge:jobs", {"JOB_PURGE_STATUSES": "running"}, "only finished jobs are purged"),
        ("purge:jobs", {"JOB_PURGE_STATUSES": "succeeded,queued"}, "only finished jobs are purged"),
        ("purge:jobs", {"JOB_PURGE_STATUSES": "done"}, "succeeded, cancelled, failed"),
        ("purge:jobs", {"JOB_PURGE_STATUSES": ","}, "succeeded, cancelled, failed"),
        ("cleanup:artifacts", {"ARTIFACT_TTL_DAYS": "-1"}, "ARTIFACT_TTL_DAYS"),
        ("cleanup:artifacts", {"ARTIFACT_DELETE_STORAGE": "7"}, "ARTIFACT_DELETE_STORAGE"),
    ],
)
def test_invalid_variables_are_rejected(
    nowhere: Terminal, command: str, environment: dict[str, str], message: str
) -> None:
    """The message names the variable and its valid values."""
    assert_rejected(nowhere.run(command, **environment), 2, message)


def test_ids_that_do_not_match_are_rejected(cogo: Terminal, queue: Queue) -> None:
    """One unknown ID, or one in another status, rejects the whole call."""
    good, waiting, unknown = failed_job(queue), add(queue), uuid4()
    assert_rejected(
        cogo.run("retry", "failed", str(good), str(unknown), "--no-dry-run"), 1, str(unknown), "nothing was retried"
    )
    assert_rejected(cogo.run("retry", "failed", str(good), str(waiting), "--no-dry-run"), 1, "is queued", "--where id:")
    assert_rejected(cogo.run("replay", "dlq", str(good), str(waiting)), 1, "not in the dead-letter queue")
    assert look(queue, good)["status"] == "failed"
    assert len(dead_letters(queue)) == 1


def test_replay_dlq_adds_jobs_and_warns_of_unchanged_code(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """The warning is written to standard error, not into the document."""
    job_id = failed_job(queue)
    owner.execute("update public.jobs_dlq set code_version = '0.1.0'")
    assert cogo.ok("replay", "dlq", "--dry-run")["changed"] == 0
    answer = cogo.run("replay:dlq", "--json")
    assert (answer.json["changed"], answer.json["same_code_version"]) == (1, 1)
    assert "failed on this release" in answer.err
    [replayed] = answer.json["items"]
    assert look(queue, UUID(replayed["job_id"]))["idempotency_key"] == f"dlq:{job_id}"


def test_purge_jobs_deletes_finished_jobs(cogo: Terminal, queue: Queue) -> None:
    """Jobs are deleted only with DRY_RUN=false."""
    job = running_job(queue)
    settle(queue, job)
    assert cogo.ok("purge", "jobs")["matched"] == 0
    assert cogo.ok("purge", "jobs", JOB_TTL_DAYS="0")["matched"] == 1
    assert len(queue.list_jobs()) == 1
    assert cogo.ok("purge", "jobs", JOB_TTL_DAYS="0", DRY_RUN="false")["changed"] == 1
    assert queue.list_jobs() == []


@pytest.mark.parametrize("delete", [True, False])
def test_cleanup_artifacts_deletes_or_keeps_objects(
    cogo: Terminal, queue: Queue, owner: Owner, tmp_path: Path, delete: bool
) -> None:
    """Artifacts are deleted immediately; a kept object is not deleted by a sweep."""
    source = tmp_path / "page.png"
    source.write_bytes(b"png")
    with open_application(load_settings(**{**UNSET, **cogo.environment})) as application:
        application.store.put("jobs/a/page.png", source, "image/png")
    assert len(cogo.objects()) == 1
    owner.execute(
        "insert into public.artifacts (status, created_at, name, storage_key)"
        " values ('ready', now() - interval '31 d', 'page.png', 'jobs/a/page.png')"
    )
    assert cogo.ok("cleanup", "artifacts", "--dry-run")["matched"] == 1
    done = cogo.ok("cleanup:artifacts", ARTIFACT_DELETE_STORAGE=str(delete).lower())
    assert (done["matched"], done["changed"]) == (1, 1)
    assert len(cogo.objects()) == (0 if delete else 1)
    assert [row.document["status"] for row in queue.list_artifacts()] == ([] if delete else ["expired"])
    assert cogo.ok("cleanup:artifacts")["matched"] == 0


def test_pause_and_resume_a_type_and_an_executor(cogo: Terminal, queue: Queue) -> None:
    """A second pause or resume changes nothing, and the list shows the reason."""
    assert cogo.ok("pause", "type", "browser", "--reason", "broken")["changed"] is True
    assert "is already paused" in cogo.run("pause", "type", "browser").out
    assert cogo.ok("pause", "executor", "mac")["changed"] is True
    assert {(row["kind"], row["name"]) for row in cogo.ok("list", "paused")} == {
        ("type", "browser"),
        ("executor", "mac"),
    }
    assert "broken" in cogo.run("list", "paused").out
    assert cogo.ok("resume", "type", "browser")["changed"] is True
    assert "was not paused" in cogo.run("resume", "type", "browser").out
    assert_rejected(cogo.run("pause", "type", "Browser!"), 2, "lower-case")


def test_operations_are_logged(cogo: Terminal, queue: Queue) -> None:
    """An operation is logged with actor, filter and number of rows; a dry run is not."""
    failed_job(queue)
    cogo.ok("retry", "failed", "--type", "browser")
    assert cogo.ok("list", "operations") == []
    cogo.ok("retry", "failed", "--type", "browser", "--no-dry-run")
    [logged] = cogo.ok("list", "operations")
    assert (logged["operation"], logged["changed"], logged["filter"]["type_prefix"]) == ("retry_failed", 1, "browser")
    assert "@" in logged["actor"]


def test_a_waiting_job_is_explained(cogo: Terminal, queue: Queue) -> None:
    """The reason is shown in the list and by `cogo job show`."""
    job_id = add(queue)
    assert cogo.ok("list", "jobs", "--why")[0]["why"] == "no worker is alive: start one with `cogo worker`"
    assert "no worker is alive" in cogo.run("list", "jobs", "--why").out
    assert "no worker is alive" in cogo.run("job", "show", str(job_id)).out


def test_lists_are_filtered(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """The lists accept the same filter options."""
    old = failed_job(queue)
    owner.execute("update public.jobs_dlq set failed_at = now() - interval '2 h' where job_id = %s", (old,))
    failed_job(queue, "gate")
    assert [row["type"] for row in cogo.ok("list", "dlq", "--since", "1h")] == ["gate"]
    assert [row["type"] for row in cogo.ok("list", "dlq", "--type", "browser")] == ["browser"]
    assert cogo.ok("list", "dlq", "--executor", "mac") == []
    [first, _] = cogo.ok("list", "incidents")
    assert cogo.ok("list", "dlq", "--fingerprint", first["fingerprint"])[0]["type"] == first["type"]
    owner.execute(
        "insert into public.artifacts (job_id, status, name, storage_key) values (%s, 'ready', 'page.png', 'x')", (old,)
    )
    assert len(cogo.ok("list", "artifacts", "--type", "browser", "--since", "1h")) == 1
    assert cogo.ok("list", "artifacts", "--type", "gate") == []


def assert_plan_rejected(cogo: Terminal, queue: Queue, folder: Path, message: str, **changes: Json) -> None:
    """Create a plan, change it, and assert that it is rejected and nothing is changed."""
    job_id = failed_job(queue)
    file = folder / "plan.json"
    cogo.ok("retry", "failed", "--plan", str(file))
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    assert_rejected(cogo.run("retry", "failed", "--apply", str(file)), 2, message)
    assert look(queue, job_id)["status"] == "failed"
    assert cogo.ok("list", "operations") == []


def test_a_discard_needs_a_reason_and_can_be_undone(cogo: Terminal, queue: Queue) -> None:
    """It is a dry run by default; the message names the command that undoes it."""
    job_id = failed_job(queue)
    assert cogo.ok("discard", "dlq")["changed"] == 0
    assert cogo.run("discard", "dlq", "--no-dry-run").code == 2
    done = cogo.run("discard", "dlq", "--no-dry-run", "--reason", "the page was removed")
    assert done.out == "1 dead-lettered job discarded.\n"
    assert dead_letters(queue) == []
    command = re.search(r"`cogo (undo discard \S+)`", done.err)
    assert command is not None
    assert cogo.run(*command[1].split()).out == "1 dead-lettered job opened again.\n"
    assert [row["job_id"] for row in dead_letters(queue)] == [str(job_id)]


def test_commands_accept_the_last_digits_of_an_id(cogo: Terminal, queue: Queue) -> None:
    """As the dashboard shows them."""
    job_id, other = failed_job(queue), add(queue)
    assert cogo.ok("job", "show", str(job_id)[-8:])["id"] == str(job_id)
    assert [item["id"] for item in cogo.ok("retry", "failed", str(job_id)[-8:])["items"]] == [str(job_id)]
    assert cogo.ok("list", "artifacts", "--job", str(job_id)[-8:]) == []
    assert cogo.ok("job", "cancel", str(other)[-12:])["status"] == "cancelled"
