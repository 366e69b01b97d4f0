"""The stand-in compared with measurements of the real servers: formats, statuses, limits, keys."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

from cogo_dagster_tests.supabase.keys import ANON, PUBLISHABLE, SECRET_KEY, SERVICE_ROLE, legacy_key
from cogo_dagster_tests.supabase.objects import Bucket, Stored
from cogo_dagster_tests.supabase.server import StandIn, supabase

FUNCTIONS = """
create type public.pair as (a integer, b text);
create function public.give_int() returns integer language sql as 'select 11';
create function public.give_null() returns jsonb language sql as 'select null::jsonb';
create function public.give_time() returns timestamptz language sql as
    $$ select '2026-01-02 03:04:05.678901+00'::timestamptz $$;
create function public.give_void() returns void language sql as '';
create function public.give_set(n integer) returns setof integer language sql as 'select generate_series(1, n)';
create function public.give_pair() returns public.pair language sql as $$ select 1, 'x' $$;
create function public.give_no_pair() returns public.pair language sql as
    'select null::integer, null::text where false';
create function public.add(a integer, b integer default 2) returns integer language sql as 'select a + b';
create function public.fail(state text) returns jsonb language plpgsql as
    $$ begin raise exception using errcode = state, message = 'it failed', detail = 'why', hint = 'how'; end $$;
create function public.doze(seconds double precision) returns jsonb language sql as
    $$ select jsonb_build_object('slept', pg_sleep(seconds) is not null) $$;
create sequence public.counter;
grant usage on sequence public.counter to service_role;
create function public.write_while_stable() returns bigint language sql stable as
    $$ select nextval('public.counter') $$;
create function public.who() returns text language sql as 'select current_user::text';
grant execute on all functions in schema public to anon, authenticated, service_role;
"""


@pytest.fixture
def stand_in(empty_dsn: str) -> Iterator[StandIn]:
    """Run a project over a database with functions of every return type."""
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        for role in ("anon", "authenticated", "service_role"):
            with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                owner.execute(f"create role {role} nologin".encode())
        owner.execute(FUNCTIONS.encode())
    with supabase(empty_dsn) as stand_in:
        yield stand_in


def call(stand_in: StandIn, name: str, key: str = SERVICE_ROLE, **request: Any) -> httpx.Response:
    """Call a function."""
    headers = {"apikey": key, "Authorization": f"Bearer {key}"} | request.pop("headers", {})
    method = request.pop("method", "POST")
    return httpx.request(method, f"{stand_in.url}/rest/v1/rpc/{name}", headers=headers, timeout=20, **request)


@pytest.mark.parametrize(
    ("name", "body", "status", "text"),
    [
        ("give_int", {}, 200, "11"),
        ("give_null", {}, 200, "null"),
        ("give_time", {}, 200, '"2026-01-02T03:04:05.678901+00:00"'),
        ("give_void", {}, 204, ""),
        ("give_set", {"n": 2}, 200, "[1, 2]"),
        ("give_set", {"n": 0}, 200, "[]"),
        ("give_pair", {}, 200, '{"a":1,"b":"x"}'),
        ("give_no_pair", {}, 200, '{"a":null,"b":null}'),
        ("add", {"a": 1}, 200, "3"),
        ("add", {"a": "5", "b": None}, 200, "null"),
        ("add", [{"a": 1, "b": 1}, {"a": 7}], 200, "2"),
    ],
)
def test_responses_follow_the_return_type(stand_in: StandIn, name: str, body: Any, status: int, text: str) -> None:
    """Scalars, documents, sets and rows are encoded; strings are coerced, and of an array the first element is used."""
    answer = call(stand_in, name, json=body)
    assert (answer.status_code, answer.text) == (status, text)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("P0001", 400),
        ("23505", 409),
        ("22P02", 400),
        ("CQ001", 400),
        ("42501", 403),
        ("42883", 404),
        ("42P01", 404),
        ("P0002", 500),
        ("57014", 500),
        ("55P03", 500),
        ("XX000", 500),
        ("53300", 503),
        ("57P01", 503),
        ("08006", 503),
        ("PT409", 409),
        ("PT503", 503),
    ],
)
def test_errors_have_postgrests_status_and_body(stand_in: StandIn, state: str, status: int) -> None:
    """The status follows the SQLSTATE; the code is in a header too, and 503 has a retry-after."""
    answer = call(stand_in, "fail", json={"state": state})
    assert answer.status_code == status
    assert answer.json() == {"code": state, "details": "why", "hint": "how", "message": "it failed"}
    assert answer.headers["proxy-status"] == f"PostgREST; error={state}"
    assert answer.headers.get("retry-after") == ("0" if status == 503 else None)


@pytest.mark.parametrize(
    ("name", "request_", "status", "code"),
    [
        ("nothing", {"json": {}}, 404, "PGRST202"),
        ("add", {"json": {}}, 404, "PGRST202"),
        ("add", {"json": {"a": 1, "c": 1}}, 404, "PGRST202"),
        ("add", {"json": {"a": "x"}}, 400, "22P02"),
        ("add", {"content": b"{"}, 400, "PGRST102"),
        ("add", {"content": b'{"a":1}', "headers": {"content-type": "text/plain"}}, 404, "PGRST202"),
        ("give_int", {"json": {}, "headers": {"content-profile": "private"}}, 406, "PGRST106"),
        ("give_int", {"method": "DELETE"}, 405, "PGRST101"),
        ("write_while_stable", {"json": {}}, 405, "25006"),
    ],
)
def test_invalid_requests_are_rejected(stand_in: StandIn, name: str, request_: Any, status: int, code: str) -> None:
    """Statuses and codes are PostgREST's; a function that is declared stable may not write."""
    answer = call(stand_in, name, **request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_sets_are_cut_silently(stand_in: StandIn) -> None:
    """A set ends at db-max-rows, and the status is still 200."""
    answer = call(stand_in, "give_set", json={"n": 1_500})
    assert (answer.status_code, len(answer.json()), answer.headers["content-range"]) == (200, 1_000, "0-999/*")


def test_the_role_decides_how_long_a_call_may_take(stand_in: StandIn) -> None:
    """Anon has 3 s; service_role has no timeout of its own, so the 8 s of the session apply."""
    with ThreadPoolExecutor() as threads:
        anon, service = (
            threads.submit(call, stand_in, "doze", key, json={"seconds": 3.5}) for key in (ANON, SERVICE_ROLE)
        )
        assert anon.result().json()["code"] == "57014"
        assert service.result().json() == {"slept": True}


@pytest.mark.parametrize(
    ("key", "role"),
    [(ANON, "anon"), (PUBLISHABLE, "anon"), (SERVICE_ROLE, "service_role"), (SECRET_KEY, "service_role")],
    ids=["anon", "publishable", "service_role", "secret"],
)
def test_the_key_decides_the_role(stand_in: StandIn, key: str, role: str) -> None:
    """Both kinds of keys select anon or service_role."""
    assert call(stand_in, "who", key, json={}).json() == role


def test_headers_are_translated_as_the_gateway_does(stand_in: StandIn) -> None:
    """A user's token stays; a legacy key alone runs as anon; another sb_ value and browsers are rejected."""
    user = legacy_key("authenticated")
    assert call(stand_in, "who", headers={"Authorization": f"Bearer {user}"}, json={}).json() == "authenticated"
    assert call(stand_in, "who", headers={"Authorization": ""}, json={}).json() == "anon"
    assert call(stand_in, "who", SECRET_KEY, headers={"Authorization": ""}, json={}).json() == "service_role"
    other = call(stand_in, "who", headers={"Authorization": f"Bearer {SECRET_KEY}"}, json={})
    assert (other.status_code, other.json()["code"]) == (401, "PGRST301")
    browser = call(stand_in, "who", SECRET_KEY, headers={"User-Agent": "Mozilla/5.0"}, json={})
    assert (browser.status_code, browser.json()["message"]) == (401, "Invalid API key")


def test_the_schema_is_read_again_only_after_a_notification(stand_in: StandIn, empty_dsn: str) -> None:
    """A new function is unknown until NOTIFY pgrst."""
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute("create function public.late() returns integer language sql as 'select 1'")
        owner.execute("grant execute on function public.late to service_role")
        assert call(stand_in, "late", json={}).json()["code"] == "PGRST202"
        owner.execute("notify pgrst, 'reload schema'")
        assert call(stand_in, "late", json={}).text == "1"


def test_a_call_waits_for_a_notification_that_was_sent_before(stand_in: StandIn, empty_dsn: str) -> None:
    """On a busy server the stand-in gets a notification late: a function that was announced is found all the same."""
    listening = stand_in.postgrest.listener_pid
    os.kill(listening, signal.SIGSTOP)
    resumed = threading.Timer(0.2, os.kill, (listening, signal.SIGCONT))
    resumed.start()
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute("create function public.late() returns integer language sql as 'select 1'")
        owner.execute("grant execute on function public.late to service_role; notify pgrst, 'reload schema'")
    assert call(stand_in, "late", json={}).text == "1"
    resumed.join()


def test_the_server_retries_a_transient_conflict(stand_in: StandIn, empty_dsn: str) -> None:
    """PostgREST retries a deadlock or serialization failure: calls may run twice."""
    with psycopg.connect(empty_dsn, autocommit=True) as owner:
        owner.execute(
            "create sequence public.tries; grant usage on sequence public.tries to service_role;"
            " create function public.second_time() returns bigint language plpgsql as $$ begin"
            " if nextval('public.tries') < 2 then raise exception using errcode = '40P01'; end if;"
            " return currval('public.tries'); end $$;"
            " grant execute on function public.second_time to service_role; notify pgrst, 'reload schema'"
        )
    assert call(stand_in, "second_time", json={}).text == "2"
    assert stand_in.postgrest.endless == []


@pytest.mark.parametrize(
    ("key", "headers", "status", "text"),
    [
        (SERVICE_ROLE, {}, 412, "Tus-Resumable Required"),
        ("sb_secret_of_another_project", {"Tus-Resumable": "1.0.0"}, 400, '"statusCode": "403"'),
        (SERVICE_ROLE, {"Tus-Resumable": "1.0.0"}, 404, "The file for this url was not found"),
    ],
    ids=["no version", "wrong key", "unknown upload"],
)
def test_uploads_in_parts_are_rejected_as_by_tus(
    stand_in: StandIn, key: str, headers: dict[str, str], status: int, text: str
) -> None:
    """TUS responds in plain text with the true status; a wrong key is rejected before TUS, as everywhere in Storage."""
    given = {"apikey": key, "Authorization": f"Bearer {key}", "Upload-Offset": "0"} | headers
    answer = httpx.patch(f"{stand_in.url}/storage/v1/upload/resumable/unknown", headers=given)
    assert (answer.status_code, text in answer.text) == (status, True)


def test_html_is_served_as_text(stand_in: StandIn) -> None:
    """Storage serves no HTML page from a project's address."""
    stand_in.storage.buckets["b"] = Bucket("b", public=True)
    stand_in.storage.buckets["b"].objects["page.html"] = Stored(b"<p>", "text/html; charset=utf-8", "")
    answer = httpx.get(f"{stand_in.url}/storage/v1/object/public/b/page.html")
    assert (answer.text, answer.headers["content-type"]) == ("<p>", "text/plain")


def test_an_older_server_takes_the_newer_listing_for_an_upload(stand_in: StandIn) -> None:
    """The bucket `list-v2` does not exist."""
    stand_in.storage.has_list_v2 = False
    headers = {"apikey": SERVICE_ROLE, "Authorization": f"Bearer {SERVICE_ROLE}"}
    answer = httpx.post(f"{stand_in.url}/storage/v1/object/list-v2/artifacts", headers=headers, json={"prefix": ""})
    assert (answer.status_code, answer.json()["code"]) == (400, "NoSuchBucket")
