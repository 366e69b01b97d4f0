"""Invalid input: one message on standard error with advice, nothing on standard output, and the right exit code."""

import json
from pathlib import Path

import pytest

from cogo_dagster_tests.cli.terminal import Answer, Terminal
from cogo_dagster_tests.conftest import Owner


def assert_rejected(answer: Answer, code: int, *texts: str) -> None:
    """Assert the exit code and one message on standard error that contains all the given texts."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err
    for text in texts:
        assert text in answer.err


def test_an_unknown_type_lists_the_known_ones(nowhere: Terminal) -> None:
    """The message for a type without an executor names the types that have one."""
    answer = nowhere.run("enqueue", "idempotent", JOB_TYPE="nonsense", BROWSER_TEST_URL="https://example.com")
    assert_rejected(answer, 2, "'nonsense'", "browser")


def test_enqueue_browser_rejects_other_types(nowhere: Terminal) -> None:
    """`enqueue browser --type figma` is rejected with the type in the message."""
    assert_rejected(nowhere.run("enqueue", "browser", "--type", "figma", "--url", "https://example.com"), 2, "'figma'")


def test_a_missing_url_names_the_options(nowhere: Terminal) -> None:
    """Without a URL the message names the option and the variable."""
    assert_rejected(nowhere.run("enqueue", "browser"), 2, "--url", "BROWSER_TEST_URL")


@pytest.mark.parametrize("payload", ['{"url":', "", '{"url": NaN}', "@missing.json", "@."])
def test_a_malformed_payload_is_rejected(nowhere: Terminal, payload: str) -> None:
    """A payload that is not JSON, or a file that cannot be read, is rejected with the option in the message."""
    assert_rejected(nowhere.run("enqueue", "browser", "--payload", payload), 2, "--payload")


@pytest.mark.parametrize(
    "payload",
    ['{"url": "\\ud83d"}', '{"a\\u0000": 1}', '{"n": ' + "9" * 4_000 + "}", '{"n": ' + "9" * 5_000 + "}"]
    + ['{"deep": ' + "[" * depth + "]" * depth + "}" for depth in (300, 100_000)],
)
def test_a_payload_that_cannot_be_stored_is_rejected(nowhere: Terminal, payload: str) -> None:
    """Lone surrogates, U+0000, and too long numbers or too deep values are rejected without a connection."""
    assert_rejected(nowhere.run("enqueue", "browser", "--payload", payload), 2, "--payload")


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "\ufeff", "[]", '{"format": "cogo plan 1"}'], ids=range(5))
def test_a_file_that_is_not_a_plan_is_rejected(nowhere: Terminal, tmp_path: Path, content: str) -> None:
    """The message says how to create one."""
    plan = tmp_path / "plan.json"
    plan.write_text(content, encoding="utf-8")
    assert_rejected(nowhere.run("purge", "jobs", "--apply", str(plan)), 2, "--plan")


@pytest.mark.parametrize("arguments", [("list", "jobs", "--type", "a\udcff"), ("pause", "type", "x\0y"), ("\udc80",)])
def test_an_argument_that_is_not_text_is_rejected(nowhere: Terminal, arguments: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8 reach Python as lone surrogates."""
    assert_rejected(nowhere.run(*arguments), 2, "UTF-8")


def test_a_setting_that_is_not_text_is_rejected(nowhere: Terminal) -> None:
    """The message names the variable."""
    assert_rejected(nowhere.run("list", "jobs", WORKER_ID="a\udcff"), 2, "WORKER_ID", "UTF-8")


@pytest.mark.parametrize("payload", ["[]", "7", '{"url": "https://example.com", "colour": "red"}'])
def test_a_payload_with_the_wrong_schema_is_rejected(nowhere: Terminal, payload: str) -> None:
    """The executor validates a payload that is valid JSON."""
    assert_rejected(nowhere.run("enqueue", "browser", "--payload", payload), 2, "payload")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "example.com", "http://"])
def test_only_http_urls_are_enqueued(nowhere: Terminal, url: str) -> None:
    """A job must not open local files or script URLs."""
    assert_rejected(nowhere.run("enqueue", "browser", "--url", url), 2)


def test_a_private_address_names_the_variable_that_allows_it(nowhere: Terminal) -> None:
    """A loopback URL is rejected, with BROWSER_ALLOWED_HOSTS in the message."""
    assert_rejected(nowhere.run("enqueue", "browser", "--url", "http://127.0.0.1:8000/"), 2, "BROWSER_ALLOWED_HOSTS")


def test_an_unreachable_database(nowhere: Terminal) -> None:
    """The exit code is 4 if nothing listens on the port of the database."""
    assert_rejected(nowhere.run("list", "jobs"), 4, "cannot be reached", "COGO_DATABASE_URL")


def test_an_invalid_database_url(nowhere: Terminal) -> None:
    """COGO_DATABASE_URL=nonsense exits with 4 and names the variable."""
    assert_rejected(nowhere.run("list", "jobs", COGO_DATABASE_URL="nonsense"), 4, "COGO_DATABASE_URL")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hush@127.0.0.1:1/x",
        "postgresql://me:a@hush@127.0.0.1:1/x",
        "mysql://me:hush@127.0.0.1/x",
        "mysql://me:password@hush@127.0.0.1/x",
        "://me:hush@x",
    ],
)
def test_a_password_is_never_shown(nowhere: Terminal, address: str) -> None:
    """Messages do not contain the password, even if the driver quotes an address that it cannot parse."""
    answer = nowhere.run("list", "jobs", COGO_DATABASE_URL=address)
    assert_rejected(answer, 4, "COGO_DATABASE_URL")
    assert "hush" not in answer.err


def test_a_database_that_is_not_migrated(nowhere: Terminal, empty_dsn: str) -> None:
    """The message names the command that migrates it."""
    assert_rejected(nowhere.run("list", "jobs", COGO_DATABASE_URL=empty_dsn), 4, "cogo db migrate")


def test_a_database_newer_than_this_code(cogo: Terminal, owner: Owner) -> None:
    """A database of a newer release is neither used nor migrated down."""
    owner.execute("update public.deployment set release = 999, oldest_client_release = 999")
    assert_rejected(cogo.run("list", "jobs"), 4, "999", "update the code")
    assert_rejected(cogo.run("db", "migrate"), 4, "999", "was not changed")


def test_supabase_without_its_key(nowhere: Terminal) -> None:
    """SUPABASE_URL without its key is an error; no other database is used instead."""
    answer = nowhere.run("list", "jobs", SUPABASE_URL="https://x.supabase.co", COGO_DATABASE_URL="")
    assert_rejected(answer, 2, "SUPABASE_SERVICE_ROLE_KEY")


def test_migrating_over_rest_is_rejected(nowhere: Terminal) -> None:
    """Without a connection string the message refers to `cogo db sql`."""
    keys = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "key", "COGO_DATABASE_URL": ""}
    assert_rejected(nowhere.run("db", "migrate", **keys), 2, "cogo db sql")


def test_an_unknown_worker_mode_is_rejected(nowhere: Terminal) -> None:
    """WORKER_MODE=x is rejected before the worker starts."""
    assert_rejected(nowhere.run("worker", WORKER_MODE="x"), 2, "WORKER_MODE", "'x'")


def test_an_unknown_status_lists_the_known_ones(cogo: Terminal) -> None:
    """The message of the SQL function lists the valid statuses."""
    assert_rejected(cogo.run("list", "jobs", "--status", "queued,bogus"), 2, "'bogus'", "succeeded")


@pytest.mark.parametrize("since", ["yesterday", "-1h", "1y", "", "99999999d"])
def test_an_invalid_duration_shows_an_example(nowhere: Terminal, since: str) -> None:
    """--since accepts a number and a unit, up to ten years."""
    assert_rejected(nowhere.run("list", "jobs", "--since", since), 2, "--since", "30m")


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_an_invalid_limit_is_rejected_by_option_or_environment(nowhere: Terminal, limit: str) -> None:
    """A limit out of range is an error; the SQL function would cap it without a message."""
    assert_rejected(nowhere.run("list", "jobs", "--limit", limit), 2, "--limit")
    assert_rejected(nowhere.run("list", "heartbeats", LIMIT=limit), 2, "LIMIT")


def test_a_misspelt_command_suggests_the_right_one(nowhere: Terminal) -> None:
    """Suggestions are made for groups and for their commands."""
    assert_rejected(nowhere.run("enquee", "browser"), 2, "'enqueue'")
    assert_rejected(nowhere.run("list", "jbos"), 2, "'jobs'")


def test_an_unknown_job_is_rejected(cogo: Terminal) -> None:
    """`job show` and `job cancel` exit with 1 for an unknown ID and with 2 for an invalid one."""
    unknown_id = "01a206c6-0cac-742e-a3e6-51ce48f5fbc4"
    assert_rejected(cogo.run("job", "show", unknown_id), 1, unknown_id)
    assert_rejected(cogo.run("job", "cancel", unknown_id), 1, unknown_id)
    assert_rejected(cogo.run("job", "show", "7"), 2, "UUID")


def test_errors_are_printed_as_json(nowhere: Terminal) -> None:
    """With --json an error is one document on standard error, and standard output is empty."""
    answer = nowhere.run("list", "jobs", "--json")
    assert (answer.code, answer.out) == (4, "")
    document = json.loads(answer.err)
    assert document["exit_code"] == 4
    assert "cannot be reached" in document["error"]


def test_a_missing_browser_stops_the_worker_before_it_claims(cogo: Terminal) -> None:
    """No attempt of a job is spent if the browser is not installed."""
    job_id = cogo.ok("enqueue", "browser", "--url", "https://example.com")["job_id"]
    with cogo.start("worker", BROWSER_CHANNEL="/nowhere/chrome", NO_SANDBOX="true") as worker:
        answer = worker.wait()
    assert answer.code == 1
    assert "BROWSER_CHANNEL" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert cogo.ok("job", "show", job_id)["attempts"] == 0


def test_the_advice_for_a_wrong_address_is_readable(nowhere: Terminal) -> None:
    """The password of the setting is hidden, that of the example is not."""
    answer = nowhere.run("list", "jobs", COGO_DATABASE_URL="mysql://u:hunter2@host/x")
    assert_rejected(answer, 4, "write it as postgresql://user:password@host:5432/database.")
    assert "hunter2" not in answer.err
