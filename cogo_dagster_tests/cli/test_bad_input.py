"""Bad input: one sentence on standard error that says what to do, nothing on standard output, the right exit code."""

import json

import pytest

from cogo_dagster_tests.cli.terminal import Answer, Terminal
from cogo_dagster_tests.conftest import Owner


def refused(answer: Answer, code: int, *words: str) -> None:
    """Hold an answer against what is promised of every failure."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err


def test_an_unknown_type_names_the_known_ones(nowhere: Terminal) -> None:
    """JOB_TYPE=nonsense has no executor."""
    answer = nowhere.run("enqueue", "idempotent", JOB_TYPE="nonsense", BROWSER_TEST_URL="https://example.com")
    refused(answer, 2, "'nonsense'", "browser")


def test_enqueue_browser_takes_browser_types_only(nowhere: Terminal) -> None:
    """`enqueue browser --type figma` is a slip."""
    refused(nowhere.run("enqueue", "browser", "--type", "figma", "--url", "https://example.com"), 2, "'figma'")


def test_a_missing_url_says_where_to_give_it(nowhere: Terminal) -> None:
    """Neither --url nor BROWSER_TEST_URL nor a payload."""
    refused(nowhere.run("enqueue", "browser"), 2, "--url", "BROWSER_TEST_URL")


@pytest.mark.parametrize("payload", ['{"url":', "", '{"url": NaN}', "@missing.json", "@."])
def test_a_malformed_payload_says_what_is_wrong(nowhere: Terminal, payload: str) -> None:
    """Not JSON, or a file that cannot be read."""
    refused(nowhere.run("enqueue", "browser", "--payload", payload), 2, "--payload")


@pytest.mark.parametrize(
    "payload",
    ['{"url": "\\ud83d"}', '{"a\\u0000": 1}', '{"n": ' + "9" * 4_000 + "}", '{"n": ' + "9" * 5_000 + "}"]
    + ['{"deep": ' + "[" * depth + "]" * depth + "}" for depth in (300, 100_000)],
)
def test_a_payload_that_cannot_be_stored_is_refused_here(nowhere: Terminal, payload: str) -> None:
    """Half a pair, U+0000, numbers and depths that no reader takes; the database is not asked."""
    refused(nowhere.run("enqueue", "browser", "--payload", payload), 2, "--payload")


@pytest.mark.parametrize("words", [("list", "jobs", "--type", "a\udcff"), ("pause", "type", "x\0y"), ("\udc80",)])
def test_an_argument_that_is_no_text_is_refused(nowhere: Terminal, words: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8 reach Python as halves of pairs."""
    refused(nowhere.run(*words), 2, "UTF-8")


def test_a_setting_that_is_no_text_is_refused(nowhere: Terminal) -> None:
    """By its name."""
    refused(nowhere.run("list", "jobs", WORKER_ID="a\udcff"), 2, "WORKER_ID", "UTF-8")


@pytest.mark.parametrize("payload", ["[]", "7", '{"url": "https://example.com", "colour": "red"}'])
def test_a_payload_of_the_wrong_shape_is_refused_by_its_executor(nowhere: Terminal, payload: str) -> None:
    """JSON, but not what a browser job takes."""
    refused(nowhere.run("enqueue", "browser", "--payload", payload), 2, "payload")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "example.com", "http://"])
def test_only_web_addresses_are_enqueued(nowhere: Terminal, url: str) -> None:
    """A browser could open files; a job may not."""
    refused(nowhere.run("enqueue", "browser", "--url", url), 2)


def test_a_private_address_names_the_variable_that_allows_it(nowhere: Terminal) -> None:
    """This machine is not for jobs unless somebody says so."""
    refused(nowhere.run("enqueue", "browser", "--url", "http://127.0.0.1:8000/"), 2, "BROWSER_ALLOWED_HOSTS")


def test_a_database_that_does_not_answer(nowhere: Terminal) -> None:
    """Nothing listens on port 1."""
    refused(nowhere.run("list", "jobs"), 4, "cannot be reached", "COGO_DATABASE_URL")


def test_a_database_address_that_is_none(nowhere: Terminal) -> None:
    """COGO_DATABASE_URL=nonsense."""
    refused(nowhere.run("list", "jobs", COGO_DATABASE_URL="nonsense"), 4, "COGO_DATABASE_URL")


@pytest.mark.parametrize(
    "address", ["postgresql://me:hush@127.0.0.1:1/x", "mysql://me:hush@127.0.0.1/x", "://me:hush@x"]
)
def test_a_password_is_never_shown(nowhere: Terminal, address: str) -> None:
    """The sentence leaves it out, also where the driver quotes an address that it cannot read."""
    answer = nowhere.run("list", "jobs", COGO_DATABASE_URL=address)
    refused(answer, 4, "COGO_DATABASE_URL")
    assert "hush" not in answer.err


def test_a_database_that_is_not_migrated(nowhere: Terminal, empty_dsn: str) -> None:
    """The sentence names the command that mends it."""
    refused(nowhere.run("list", "jobs", COGO_DATABASE_URL=empty_dsn), 4, "cogo db migrate")


def test_a_database_newer_than_this_code(cogo: Terminal, owner: Owner) -> None:
    """Neither used nor migrated down."""
    owner.execute("update public.deployment set release = 999, oldest_client_release = 999")
    refused(cogo.run("list", "jobs"), 4, "999", "update the code")
    refused(cogo.run("db", "migrate"), 4, "999", "left as it is")


def test_supabase_half_configured(nowhere: Terminal) -> None:
    """An address without its key is an error, never a silent fall to another database."""
    answer = nowhere.run("list", "jobs", SUPABASE_URL="https://x.supabase.co", COGO_DATABASE_URL="")
    refused(answer, 2, "SUPABASE_SERVICE_ROLE_KEY")


def test_migrating_over_rest_names_the_other_way(nowhere: Terminal) -> None:
    """With REST keys only there is nothing to migrate over."""
    keys = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "key", "COGO_DATABASE_URL": ""}
    refused(nowhere.run("db", "migrate", **keys), 2, "cogo db sql")


def test_there_is_one_worker_mode(nowhere: Terminal) -> None:
    """WORKER_MODE=x is refused before anything starts."""
    refused(nowhere.run("worker", WORKER_MODE="x"), 2, "WORKER_MODE", "'x'")


def test_an_unknown_status_lists_the_known_ones(cogo: Terminal) -> None:
    """The engine knows them."""
    refused(cogo.run("list", "jobs", "--status", "queued,bogus"), 2, "'bogus'", "succeeded")


@pytest.mark.parametrize("since", ["yesterday", "-1h", "1y", "", "99999999d"])
def test_a_bad_duration_shows_a_good_one(nowhere: Terminal, since: str) -> None:
    """--since takes a number and a unit."""
    refused(nowhere.run("list", "jobs", "--since", since), 2, "--since", "30m")


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_a_bad_limit_is_refused_by_option_or_environment(nowhere: Terminal, limit: str) -> None:
    """The engine would cut it silently."""
    refused(nowhere.run("list", "jobs", "--limit", limit), 2, "--limit")
    refused(nowhere.run("list", "heartbeats", LIMIT=limit), 2, "LIMIT")


def test_a_misspelt_command_suggests_the_right_one(nowhere: Terminal) -> None:
    """At both levels."""
    refused(nowhere.run("enquee", "browser"), 2, "'enqueue'")
    refused(nowhere.run("list", "jbos"), 2, "'jobs'")


def test_an_unknown_job_is_refused(cogo: Terminal) -> None:
    """To look at, and to cancel."""
    nobody = "01a206c6-0cac-742e-a3e6-51ce48f5fbc4"
    refused(cogo.run("job", "show", nobody), 1, nobody)
    refused(cogo.run("job", "cancel", nobody), 1, nobody)
    refused(cogo.run("job", "show", "7"), 2, "UUID")


def test_errors_are_json_too(nowhere: Terminal) -> None:
    """With --json, one document on standard error and none on standard output."""
    answer = nowhere.run("list", "jobs", "--json")
    assert (answer.code, answer.out) == (4, "")
    document = json.loads(answer.err)
    assert document["exit_code"] == 4
    assert "cannot be reached" in document["error"]


def test_a_browser_that_is_not_there_stops_the_worker_before_it_claims(cogo: Terminal) -> None:
    """No job pays for a missing program."""
    job_id = cogo.ok("enqueue", "browser", "--url", "https://example.com")["job_id"]
    with cogo.start("worker", BROWSER_CHANNEL="/nowhere/chrome", NO_SANDBOX="true") as worker:
        answer = worker.wait()
    assert answer.code == 1
    assert "BROWSER_CHANNEL" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert cogo.ok("job", "show", job_id)["attempts"] == 0
