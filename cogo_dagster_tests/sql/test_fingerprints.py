"""Fingerprints of errors: errors of one cause share one, errors of different causes do not."""

import pytest

from cogo_dagster.queue.migrate import migrations
from cogo_dagster.queue.model import Json
from cogo_dagster_tests.conftest import Owner

pytestmark = pytest.mark.parametrize("major", [15, 18], ids=["pg15", "pg18"])


def fingerprint(owner: Owner, message: str, error_class: str = "http_status", type: str = "browser") -> Json:
    """Return the fingerprint of an error."""
    [row] = owner.execute(
        "select public.error_fingerprint(%s, jsonb_build_object('class', %s::text, 'message', %s::text))",
        (type, error_class, message),
    ).fetchall()
    return row[0]


DIFFERENT = [
    "goto https://a.example/shop: the server answered 404.",
    "goto https://a.example/shop: the server answered 410.",
    "goto https://a.example/shop: the server answered 500.",
    "goto https://b.example/shop: the server answered 404.",
    "goto https://a.example/cart: the server answered 404.",
    "goto http://127.0.0.1:8001/shop: the server answered 404.",
    "goto http://127.0.0.1:8002/shop: the server answered 404.",
    "goto http://10.0.0.2:8001/shop: the server answered 404.",
    "HTTP 503 from the API",
    "HTTP/1.1 502 from the API",
    "connect 10.0.0.1: refused",
    "connect 10.0.0.2: refused",
    "status code: 429",
    "status code: 409",
]

ALIKE = [
    [
        "goto https://a.example/orders/17/items/4?token=abc#top: the server answered 404.",
        "goto https://a.example/orders/2291/items/5: the server answered 404.",
        "goto https://user:secret@A.example/orders/1/items/77?x=y: the server answered 404.",
    ],
    [
        "goto https://a.example/f/0f8fad5b-d9cb-469f-a165-70867728950e: no",
        "goto https://a.example/f/7c9e6679-7425-40de-944b-e07fc1f90ae7: no",
        "goto https://a.example/f/4f2a9c1b7d3e5a60: no",
        "goto https://a.example/f/AbCd1234EfGh5678IjKl: no",
    ],
    ["wait 30000 ms for 'div.a': timeout", "wait 500 ms for 'div.b': timeout"],
    ["The job 17 took 404 s.", "The job 18 took 500 s."],
    ["Failed with 404 ms left", "Failed with 500 ms left"],
]


def test_different_causes_have_different_fingerprints(owner: Owner) -> None:
    """Class, status, host, path and family of types distinguish causes."""
    fingerprints = [fingerprint(owner, message) for message in DIFFERENT]
    assert len(set(fingerprints)) == len(DIFFERENT)
    assert fingerprint(owner, DIFFERENT[0], "timeout") not in fingerprints
    assert fingerprint(owner, DIFFERENT[0], type="figma") not in fingerprints
    assert fingerprint(owner, DIFFERENT[0], type="browser.pdf") == fingerprints[0]


@pytest.mark.parametrize("messages", ALIKE)
def test_details_of_a_job_do_not_change_the_fingerprint(owner: Owner, messages: list[str]) -> None:
    """Ids, numbers in paths, query strings, credentials, times and quoted words are ignored."""
    assert len({fingerprint(owner, message) for message in messages}) == 1


def test_a_migration_computes_stored_fingerprints_again(owner: Owner) -> None:
    """It updates alerts, the silences that refer to them, and the failures of stored weeks."""
    message = "goto https://a.example/shop: the server answered 404."
    owner.execute(
        "insert into public.alerts (id, fingerprint, kind, subject, status, title, error_class, error_message,"
        " first_seen_at, last_seen_at) values"
        " (gen_random_uuid(), 'old', 'job_failed', 'browser', 'firing', 't', 'http_status', %s, now(), now())",
        (message,),
    )
    owner.execute(
        "insert into public.alert_silences (id, fingerprint, author, ends_at)"
        " values (gen_random_uuid(), 'old', 'me', now() + interval '1 hour')"
    )
    owner.execute(
        "insert into public.weekly_summaries (branch, window_start, window_end, numbers, sources, complete,"
        " computed_at)"
        " select 'main', now(), now(), jsonb_build_object('top_failures', jsonb_build_array(jsonb_build_object("
        " 'fingerprint', 'old', 'family', 'browser', 'error_class', 'http_status', 'message', %s::text))),"
        " '{}', true, now()",
        (message,),
    )
    [file] = [one for one in migrations() if "true_numbers" in one.name]
    owner.execute(file.statements)
    expected = fingerprint(owner, message)
    for query in (
        "select fingerprint from public.alerts",
        "select fingerprint from public.alert_silences",
        "select numbers #>> '{top_failures,0,fingerprint}' from public.weekly_summaries",
    ):
        assert owner.execute(query).fetchall() == [(expected,)]
