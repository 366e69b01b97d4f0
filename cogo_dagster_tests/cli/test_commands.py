"""Output of the commands."""

import json
from pathlib import Path

import pytest

from cogo_dagster.cli.app import expand_colons
from cogo_dagster.queue.client import Queue, content_key
from cogo_dagster.queue.model import NewJob
from cogo_dagster_tests.cli.terminal import Terminal, terminal
from cogo_dagster_tests.conftest import Age, Owner
from cogo_dagster_tests.queue.steps import running_job
from cogo_dagster_tests.supabase.keys import SERVICE_ROLE
from cogo_dagster_tests.supabase.server import supabase

URL = "https://example.com/"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("list:jobs", "list jobs"),
        ("ci:gate:q1", "ci gate q1"),
        ("ci:gate:q1:sb --json", "ci gate q1 --source db --json"),
        ("notify:weekly:sb", "notify weekly --source db"),
        ("list jobs --type a:b", "list jobs --type a:b"),
        ("enqueue:figma --node-id 1:2", "enqueue figma --node-id 1:2"),
        ("--help", "--help"),
        ("", ""),
    ],
)
def test_colons_are_expanded_in_the_first_word_only(given: str, meant: str) -> None:
    """Every command can be called by its name in the runbook, such as `list:jobs`."""
    assert expand_colons(given.split()) == meant.split()


@pytest.mark.parametrize("command", [["list:jobs"], ["list", "jobs"], ["list:dlq"], ["list:heartbeats"]])
def test_an_empty_list_is_an_empty_array(cogo: Terminal, command: list[str]) -> None:
    """An empty list is `[]` with --json, with spaces and with colons."""
    assert cogo.ok(*command) == []


def test_enqueue_prints_the_job_and_whether_it_is_new(cogo: Terminal) -> None:
    """The document has the two keys job_id and created."""
    answer = cogo.ok("enqueue:browser", "--url", URL, "--priority", "2", "--max-attempts", "3", "--run-in", "10m")
    assert set(answer) == {"job_id", "created"}
    assert answer["created"] is True
    [row] = cogo.ok("list", "jobs")
    assert (row["id"], row["type"], row["priority"], row["max_attempts"]) == (answer["job_id"], "browser", 2, 3)


def test_a_payload_is_read_from_the_option_or_a_file(cogo: Terminal) -> None:
    """--url adds a missing URL and does not replace a given one."""
    (cogo.folder / "payload.json").write_text('{"html": false}')
    command = ("enqueue", "browser", "--type", "browser.pdf", "--payload")
    first = cogo.ok(*command, "@payload.json", "--url", URL)["job_id"]
    second = cogo.ok(*command, json.dumps({"url": URL}), BROWSER_TEST_URL="https://other.example/")["job_id"]
    assert cogo.ok("job", "show", first)["payload"] == {"url": URL, "html": False}
    assert cogo.ok("job", "show", second)["payload"] == {"url": URL}


def test_enqueue_idempotent_reads_the_variables_of_the_runbook(cogo: Terminal) -> None:
    """The key is the SHA-256 of the content, so that the same environment adds one job."""
    environment = {"JOB_TYPE": "browser.pdf", "EXECUTOR_ID": "mac-1", "BROWSER_TEST_URL": URL}
    first = cogo.ok("enqueue:idempotent", **environment)
    second = cogo.ok("enqueue:idempotent", **environment)
    assert (first["created"], second["created"]) == (True, False)
    assert first["job_id"] == second["job_id"]
    [row] = cogo.ok("list", "jobs", "--executor", "mac-1", "--type", "browser.p")
    assert row["idempotency_key"] == content_key("browser.pdf", "mac-1", {"url": URL})


def test_a_given_idempotency_key_is_used_unchanged(cogo: Terminal) -> None:
    """The same key with another payload is an error that names the existing job."""
    job_id = cogo.ok("enqueue:idempotent", BROWSER_TEST_URL=URL, IDEMPOTENCY_KEY="mine")["job_id"]
    answer = cogo.run("enqueue:idempotent", BROWSER_TEST_URL=URL + "other", IDEMPOTENCY_KEY="mine")
    assert answer.code == 1
    assert job_id in answer.err


def test_an_allowed_private_address_is_enqueued(cogo: Terminal) -> None:
    """BROWSER_ALLOWED_HOSTS is passed to the executor that validates the payload."""
    cogo.ok("enqueue", "browser", "--url", "http://127.0.0.1:8000/", BROWSER_ALLOWED_HOSTS="127.0.0.1:8000")


def test_jobs_are_filtered(cogo: Terminal, queue: Queue, age: Age) -> None:
    """Filters are status in both forms, age and limit, the last also by the variable LIMIT."""
    [old, *_] = queue.enqueue([NewJob("browser"), NewJob("browser"), NewJob("other")])
    age(old.job_id, 7_200)
    queue.cancel(old.job_id)
    assert [row["id"] for row in cogo.ok("list", "jobs", "--status", "cancelled")] == [str(old.job_id)]
    assert len(cogo.ok("list", "jobs", "--status", "cancelled,queued")) == 3
    assert len(cogo.ok("list", "jobs", "--status", "cancelled", "--status", "queued")) == 3
    assert len(cogo.ok("list", "jobs", "--since", "90m")) == 2
    assert len(cogo.ok("list", "jobs", "--since", "3h", LIMIT="1")) == 1


def test_a_table_fits_a_hundred_columns_and_keeps_ids_whole(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """Cells other than IDs are shortened to fit, and control characters are removed."""
    [job] = queue.enqueue([NewJob("browser", run_in_seconds=250)])
    error = {"class": "timeout", "message": "[red]went\x1b[31m on [/] and on " * 9, "retryable": True}
    owner.execute("update public.jobs set error = %s where id = %s", (json.dumps(error), job.job_id))
    narrow = cogo.run("list", "jobs", COLUMNS="100", TTY_COMPATIBLE="1", FORCE_COLOR="1").out
    assert "\x1b[1m" in narrow
    lines = cogo.run("list", "jobs", COLUMNS="100", TTY_COMPATIBLE="1", FORCE_COLOR="1", NO_COLOR="1").out.splitlines()
    assert all(str(job.job_id) in line for line in lines[1:])
    assert "in 4 min" in lines[-1]
    assert "\x1b[31m" not in narrow
    assert "0/5" in lines[-1]


def test_a_pipe_gets_every_cell_in_full_and_no_colour(cogo: Terminal, queue: Queue, owner: Owner) -> None:
    """Output that is not a terminal is not shortened and not coloured."""
    [job] = queue.enqueue([NewJob("browser")])
    error = {"class": "timeout", "message": "word " * 100, "retryable": True}
    owner.execute("update public.jobs set error = %s where id = %s", (json.dumps(error), job.job_id))
    [_, line] = cogo.run("list", "jobs").out.splitlines()
    assert line.count("word") == 100
    assert "\x1b" not in line


def test_recover_leases_dry_run_and_execution(cogo: Terminal, queue: Queue, age: Age) -> None:
    """The dry run changes nothing; the execution requeues, fails or cancels each job."""
    age(running_job(queue), 120)
    age(running_job(queue, max_attempts=1), 120)
    cancelled = running_job(queue)
    queue.cancel(cancelled.id)
    age(cancelled, 120)
    dry = cogo.ok("recover", "leases", "--dry-run")
    assert (dry["matched"], dry["changed"], dry["dry_run"], len(dry["items"])) == (3, 0, True, 3)
    done = cogo.ok("recover:leases")
    assert (done["matched"], done["changed"], done["dry_run"]) == (3, 3, False)
    assert (done["requeued"], done["failed"], done["cancelled"]) == (1, 1, 1)
    [dead] = cogo.ok("list", "dlq")
    assert dead["reason"] == "crashed"


def test_job_cancel_is_idempotent(cogo: Terminal, queue: Queue) -> None:
    """Cancelling a cancelled job returns the same status."""
    [job] = queue.enqueue([NewJob("browser")])
    assert cogo.ok("job", "cancel", str(job.job_id))["status"] == "cancelled"
    assert cogo.ok("job", "cancel", str(job.job_id))["status"] == "cancelled"


def test_db_migrate_reports_the_applied_migrations(nowhere: Terminal, empty_dsn: str) -> None:
    """The first call applies all migrations, the second none."""
    first = nowhere.ok("db:migrate", COGO_DATABASE_URL=empty_dsn)
    second = nowhere.ok("db:migrate", COGO_DATABASE_URL=empty_dsn)
    assert first["changed"] is True
    assert len(first["applied"]) >= 6
    assert second == {"changed": False, "applied": [], "release": first["release"]}


def test_db_status_shows_the_schema_and_no_password(cogo: Terminal, empty_dsn: str) -> None:
    """The status of a database that is not migrated is printed, and the exit code is 4."""
    found = cogo.ok("db", "status")
    assert found["schema"]["current"] is True
    assert found["address"].startswith("postgresql://")
    assert cogo.environment["COGO_DATABASE_URL"].split("@")[0] not in found["address"]
    answer = cogo.run("db", "status", "--json", COGO_DATABASE_URL=empty_dsn)
    assert (answer.code, answer.json["schema"]["release"]) == (4, None)


def test_db_sql_and_export_need_no_database(nowhere: Terminal) -> None:
    """The script and the exported files are written without a database."""
    assert "create or replace function public.claim_jobs" in nowhere.run("db", "sql").out
    exported = nowhere.ok("db", "export-supabase", "--output", "out")
    assert sorted(exported["files"]) == sorted(path.name for path in (nowhere.folder / "out").iterdir())


def test_the_embedded_database_is_started_and_stopped(tmp_path: Path, embedded_home: Path) -> None:
    """Without a database setting the embedded one is used, and its address is printed without the password.

    A command leaves it running for the next one, and `db status` has the time left; `db start` runs it until `db stop`.
    """
    here = terminal(tmp_path, None, {"COGO_HOME": str(embedded_home), "COGO_DATABASE_IDLE_SECONDS": "60"})
    assert here.ok("db", "status")["server"]["running"] is False
    try:
        assert here.ok("list", "jobs") == []
        first = here.ok("db", "status")["server"]
        assert here.ok("enqueue", "browser", "--url", URL)["created"] is True
        second = here.ok("db", "status")["server"]
        assert (first["running"], second["pid"], second["owner"]) == (True, first["pid"], "lease")
        assert 0 < second["idle_seconds_left"] <= 60
        assert ", kept for " in here.run("db", "status").out
    finally:
        assert here.ok("db", "stop") == {"stopped": True}
    assert here.ok("db", "status")["server"]["running"] is False
    here.environment["COGO_DATABASE_IDLE_SECONDS"] = "0"
    try:
        started = here.ok("db", "start")
        assert started["started"] is True
        assert "@127.0.0.1:" in started["address"]
        assert ":" not in started["address"].partition("://")[2].partition("@")[0]
        assert here.ok("db", "start")["started"] is False
        assert len(here.ok("list", "jobs")) == 1
        assert here.ok("db", "status")["server"]["owner"] == "explicit"
    finally:
        stopped = here.ok("db", "stop")
    assert stopped == {"stopped": True}


def test_the_environment_overrides_the_env_file(cogo: Terminal) -> None:
    """`.env` of the working directory sets options and settings; the environment takes precedence."""
    del cogo.environment["COGO_HOME"]
    (cogo.folder / ".env").write_text(f"BROWSER_TEST_URL={URL}\nEXECUTOR_ID=from-file\n")
    cogo.ok("enqueue:idempotent")
    cogo.ok("enqueue:idempotent", EXECUTOR_ID="from-environment")
    assert [row["executor_id"] for row in cogo.ok("list", "jobs")] == ["from-environment", "from-file"]


def test_without_a_command_it_prints_the_help(nowhere: Terminal) -> None:
    """`cogo` and `cogo list` print their help."""
    for command, expected in (([], "Exit codes"), (["list"], "heartbeats")):
        done = nowhere.run(*command)
        assert done.code == 0
        assert expected in done.out


def test_db_status_over_rest_shows_the_release_and_no_key(tmp_path: Path, dsn: str) -> None:
    """The address of the project and its schema release are shown, the key is not."""
    with supabase(dsn) as stand_in:
        keys = {"SUPABASE_URL": stand_in.url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE}
        answer = terminal(tmp_path, None, keys).run("db", "status", "--json")
    assert (answer.code, answer.json["database"], answer.json["address"]) == (0, "supabase", stand_in.url)
    assert answer.json["schema"]["release"] == answer.json["schema"]["code_release"]
    assert SERVICE_ROLE not in answer.out
