"""The Supabase transport: lost replies, failing gateways, wrong keys, and the error of each response."""

import gzip
import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Barrier
from typing import Any

import httpx
import psycopg
import pytest

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.errors import (
    AccessDenied,
    DatabaseUnavailable,
    DuplicateJob,
    InvalidArgument,
    QueueError,
    SchemaOutOfDate,
    TransportError,
)
from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.supabase.project import Project, checked_project
from cogo_dagster.queue.transports.supabase import SupabaseTransport
from cogo_dagster.settings import SettingsError
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import add
from cogo_dagster_tests.supabase.keys import ANON, ANOTHER_SECRET, PUBLISHABLE, SECRET_KEY, SERVICE_ROLE, legacy_key
from cogo_dagster_tests.supabase.server import StandIn, supabase

AN_ADDRESS = "https://abc.supabase.co"
QUICK: dict[str, Any] = {"first_pause_seconds": 0.01}


@pytest.fixture
def rest(stand_in: StandIn) -> Iterator[SupabaseTransport]:
    """Yield the transport with the service key and short pauses."""
    transport = SupabaseTransport(stand_in.project(), **QUICK)
    yield transport
    transport.close()


def test_a_call_has_only_the_headers_that_it_needs(rest: SupabaseTransport) -> None:
    """Each of the others would take a fiftieth of the time of a short call."""
    names = {name.decode().lower() for name, _ in rest._headers}
    needed = {"host", "apikey", "authorization", "content-profile", "content-type", "user-agent", "accept-encoding"}
    assert names == needed


@pytest.mark.parametrize("key", [SERVICE_ROLE, SECRET_KEY], ids=["legacy", "secret"])
def test_both_kinds_of_service_keys_work(stand_in: StandIn, key: str) -> None:
    """A legacy JWT and an sb_secret_ key have the same access."""
    transport = SupabaseTransport(stand_in.project(key))
    assert transport.call("queue_stats", {})["ready"] == 0
    transport.close()


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "cut_short"])
def test_a_lost_reply_changes_nothing(rest: SupabaseTransport, stand_in: StandIn, owner: Owner, kind: Any) -> None:
    """If the connection breaks before, after or within the response, the enqueue is executed once."""
    fault = stand_in.faults.order(kind, "enqueue_columns", times=2)
    job = add(Queue(rest))
    assert fault.met == 2
    assert owner.execute("select id from public.jobs").fetchall() == [(job,)]


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (502, b"<html>502 Bad Gateway</html>", "text/html"),
        (503, b"upstream connect error or disconnect/reset before headers", "text/plain"),
        (503, b'{"message":"name resolution failed"}', "application/json"),
        (504, b'{"message":"The upstream server is timing out"}', "application/json"),
        (520, b"<html>520</html>", "text/html"),
        (429, b'{"message":"API rate limit exceeded"}', "application/json"),
        (503, b'{"code":"PGRST002","message":"no schema cache","details":null,"hint":null}', "application/json"),
        (504, b'{"code":"PGRST003","message":"pool timeout","details":null,"hint":null}', "application/json"),
        (503, b'{"code":"PGRST001","message":"client error","details":null,"hint":null}', "application/json"),
        (503, b'{"code":"57P01","message":"terminating connection","details":null,"hint":null}', "application/json"),
        (503, b'{"code":"53300","message":"too many clients","details":null,"hint":null}', "application/json"),
        (200, b"<html>Checking your browser</html>", "text/html"),
        (200, b"half of a", "application/json"),
    ],
)
def test_a_failing_gateway_is_retried(
    rest: SupabaseTransport, stand_in: StandIn, status: int, body: bytes, content_type: str
) -> None:
    """The failure may be an error status or an HTML page with status 200."""
    fault = stand_in.faults.order("answer", "queue_stats", times=3, status=status, body=body, content_type=content_type)
    assert rest.call("queue_stats", {})["ready"] == 0
    assert fault.met == 3


def test_a_persistent_failure_is_reported(rest: SupabaseTransport, stand_in: StandIn) -> None:
    """After five attempts the message has the cause, and says that the outcome is unknown."""
    fault = stand_in.faults.order("answer", "queue_stats", times=99, status=502)
    with pytest.raises(TransportError, match="HTTP 502"):
        rest.call("queue_stats", {})
    assert fault.met == 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [("PGRST000", DatabaseUnavailable), ("PGRST001", TransportError), ("57P01", TransportError)],
    ids=["no connection", "connection broke", "database stopped"],
)
def test_the_message_says_whether_a_call_may_have_been_executed(
    rest: SupabaseTransport, stand_in: StandIn, code: str, kind: type[QueueError]
) -> None:
    """Nothing was done if PostgREST had no connection; if one broke during the call, the outcome is unknown."""
    body = f'{{"code":"{code}","message":"trouble","details":null,"hint":null}}'.encode()
    stand_in.faults.order("answer", "queue_stats", times=9, status=503, body=body, content_type="application/json")
    with pytest.raises(QueueError) as refused:
        rest.call("queue_stats", {})
    assert type(refused.value) is kind


def test_a_retry_after_is_respected(
    rest: SupabaseTransport, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After is the minimum pause, and an excessive one is limited."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    for asked in (b"3", b"99999", b"nonsense"):
        stand_in.faults.order("answer", "queue_stats", status=429, headers=((b"retry-after", asked),))
    rest.call("queue_stats", {})
    assert [math.floor(wait) for wait in waits] == [3, 15, 0]


def test_an_unreachable_url_is_reported() -> None:
    """Nothing was done, and the message names the variable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    transport = SupabaseTransport(Project(f"http://127.0.0.1:{port}", SERVICE_ROLE), **QUICK)
    with pytest.raises(DatabaseUnavailable, match=r"cannot be reached.*SUPABASE_URL"):
        transport.call("queue_stats", {})
    transport.close()


def test_a_missing_response_times_out(stand_in: StandIn) -> None:
    """A response that takes too long counts as lost."""
    stand_in.faults.order("delay", "queue_stats", seconds=2, times=9)
    transport = SupabaseTransport(stand_in.project(), timeout=httpx.Timeout(0.1), **QUICK)
    with pytest.raises(TransportError, match="may be repeated"):
        transport.call("queue_stats", {})
    transport.close()


@pytest.mark.parametrize(
    "key",
    [
        "sb_secret_of_another_project_altogether",
        legacy_key("service_role", secret=ANOTHER_SECRET),
    ],
    ids=["secret of another project", "jwt of another project"],
)
def test_a_key_that_the_gateway_rejects_is_reported(stand_in: StandIn, key: str) -> None:
    """Its 401 has no code; the message says which variable to set to which key."""
    transport = SupabaseTransport(stand_in.project(key), **QUICK)
    with pytest.raises(AccessDenied, match="SUPABASE_SERVICE_ROLE_KEY to the secret key"):
        transport.call("queue_stats", {})
    assert len(stand_in.faults.requests) == 1, "A wrong key is not tried again."
    transport.close()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (legacy_key("service_role", expires_in=-60), "JWT expired"),
        (legacy_key("service_role", secret=ANOTHER_SECRET), "JWSInvalidSignature"),
        (SECRET_KEY, "Expected 3 parts"),
        (legacy_key("stranger"), "stranger"),
        (ANON, "permission denied"),
    ],
    ids=["expired", "forged", "secret without a gateway", "unknown role", "anon"],
)
def test_a_key_that_postgrest_rejects_is_reported(dsn: str, key: str, reason: str) -> None:
    """Without a gateway, the message contains PostgREST's reason."""
    with supabase(dsn, gateway=False) as stand_in:
        transport = SupabaseTransport(stand_in.project(key), **QUICK)
        with pytest.raises(AccessDenied, match=f"{reason}.*SUPABASE_SERVICE_ROLE_KEY"):
            transport.call("queue_stats", {})
        transport.close()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (ANON, "holds the anon key"),
        (legacy_key("authenticated"), "holds the authenticated key"),
        (PUBLISHABLE, "holds the publishable key"),
        ("two words", "is not a key"),
        ("schlüssel", "is not a key"),
    ],
)
def test_a_key_without_access_is_rejected_before_a_request(key: str, message: str) -> None:
    """Setting the variable to the anon or publishable key is a common mistake."""
    with pytest.raises(SettingsError, match=f"SUPABASE_SERVICE_ROLE_KEY {message}"):
        checked_project(AN_ADDRESS, key)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (AN_ADDRESS, AN_ADDRESS),
        (f" {AN_ADDRESS}/ ", AN_ADDRESS),
        (f"{AN_ADDRESS}/rest/v1/", AN_ADDRESS),
        ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
    ],
)
def test_common_forms_of_the_url_are_accepted(given: str, url: str) -> None:
    """The URL may have a trailing slash, the path of a service, or surrounding spaces."""
    assert checked_project(given, SERVICE_ROLE).url == url


@pytest.mark.parametrize(
    "url", ["postgresql://postgres:secret@db.abc.supabase.co:5432/postgres", "abc.supabase.co", "ftp://abc", "https://"]
)
def test_an_invalid_url_is_rejected(url: str) -> None:
    """The message names the variable and does not contain a password."""
    with pytest.raises(SettingsError, match="SUPABASE_URL") as refused:
        checked_project(url, SERVICE_ROLE)
    assert "secret" not in str(refused.value)


def test_a_redirect_is_not_followed_with_the_key(rest: SupabaseTransport, stand_in: StandIn) -> None:
    """The message has the URL to set instead."""
    location = b"https://elsewhere.example/rest/v1/rpc/queue_stats?apikey=x"
    stand_in.faults.order("answer", "queue_stats", status=301, headers=((b"location", location),))
    with pytest.raises(DatabaseUnavailable, match=r"redirects to https://elsewhere.example/rest/v1/rpc/queue_stats:"):
        rest.call("queue_stats", {})


def test_the_url_of_another_service_is_reported(rest: SupabaseTransport, stand_in: StandIn) -> None:
    """A 404 that is not PostgREST's means that SUPABASE_URL is wrong."""
    stand_in.faults.order("answer", "queue_stats", status=404, body=b"not here", content_type="text/plain")
    with pytest.raises(DatabaseUnavailable, match="is not the address of a Supabase API"):
        rest.call("queue_stats", {})


def test_a_database_that_was_never_migrated_is_reported(empty_dsn: str) -> None:
    """The message names the command for a project without a database connection."""
    with supabase(empty_dsn) as stand_in:
        transport = SupabaseTransport(stand_in.project())
        with pytest.raises(SchemaOutOfDate, match="`cogo db sql` prints"):
            transport.call("queue_stats", {})
        transport.close()


def test_a_duplicate_has_the_id_of_the_existing_job(rest: SupabaseTransport) -> None:
    """The ID is an attribute of the error."""
    first = add(Queue(rest), payload={"a": 1}, idempotency_key="k")
    with pytest.raises(DuplicateJob) as refused:
        add(Queue(rest), payload={"a": 2}, idempotency_key="k")
    assert refused.value.existing_id == str(first)


@pytest.mark.parametrize("value", [math.nan, "\ud800", "\x00"], ids=["nan", "half a pair", "nul"])
def test_a_value_that_cannot_be_encoded_is_an_invalid_argument(rest: SupabaseTransport, value: Any) -> None:
    """It is neither a crash nor retried."""
    with pytest.raises(InvalidArgument):
        Queue(rest).enqueue([NewJob("browser", {"value": value})])


def test_a_call_that_times_out_in_the_database_did_nothing(rest: SupabaseTransport, dsn: str) -> None:
    """A lock held beyond the timeout of the database cancels the call, and the message says that nothing was done."""
    with psycopg.connect(dsn) as blocker:
        blocker.execute("lock table public.jobs")
        with pytest.raises(DatabaseUnavailable, match="cancelled the call"):
            add(Queue(rest))
    assert Queue(rest).list_jobs() == []


def test_threads_share_one_client(rest: SupabaseTransport) -> None:
    """Each of twelve threads gets its own response, and errors are based on the thread's own response."""
    together = Barrier(12)

    def call(number: int) -> Any:
        together.wait()
        try:
            return rest.call("list_jobs", {"max_jobs": 1 if number % 2 else -1})
        except QueueError as error:
            return type(error)

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(call, range(12))) == [InvalidArgument, []] * 6


def test_errors_do_not_contain_keys(stand_in: StandIn) -> None:
    """Neither the message nor its cause contains the key."""
    transport = SupabaseTransport(stand_in.project(), **QUICK)
    stand_in.faults.cut()
    with pytest.raises(QueueError) as refused:
        transport.call("queue_stats", {})
    error: BaseException | None = refused.value
    while error is not None:
        assert SERVICE_ROLE not in str(error)
        error = error.__cause__
    transport.close()


class _Gateway(BaseHTTPRequestHandler):
    """Answers every call as a gateway that compresses replies."""

    def do_POST(self) -> None:
        """Send a compressed document."""
        body = gzip.compress(b'{"ready": 7}')
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


def test_a_compressed_reply_is_read() -> None:
    """Gateways compress long replies, since the client accepts it."""
    with HTTPServer(("127.0.0.1", 0), _Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        transport = SupabaseTransport(Project(f"http://127.0.0.1:{server.server_port}", SERVICE_ROLE))
        assert transport.call("queue_stats", {}) == {"ready": 7}
        transport.close()
        server.shutdown()
