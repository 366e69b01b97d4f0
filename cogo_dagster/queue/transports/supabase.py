"""The transport over a Supabase project's REST API, with the address and headers of supabase-py's client.

The requests are sent to the connection pool of its client, without its request builder and the objects of httpx. They
would encode the arguments, compose and copy the address and the headers again, and search for cookies in each call:
more than half of the time of a call.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final, cast

import httpcore
import httpx
from httpx._transports.default import map_httpcore_exceptions
from supabase import create_client
from supabase.lib.client_options import SyncClientOptions

from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import TRIES, UNKNOWN, Rule, SchemaOutOfDate, rule_of, rule_of_exception
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.retry_after import retry_after_seconds
from cogo_dagster.queue.supabase.bounded import exchange_limit
from cogo_dagster.queue.supabase.project import Project, reason_of
from cogo_dagster.queue.transports.retries import Failed, encoded, logged, with_retries

_TRIES: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_WAIT_SECONDS: Final = 15.0

_TIMEOUT: Final = httpx.Timeout(connect=5, read=20, write=20, pool=10)
"""A call ends within 8 s in the database, after up to 10 s in PostgREST's own queue for a connection."""

_TRY_SECONDS: Final = 25.0
_CALL_SECONDS: Final = 60.0

MIGRATE: Final = (
    "run the script that `cogo db sql` prints in the SQL Editor, or `cogo db migrate` with COGO_DATABASE_URL"
)
"""The remedy for an outdated schema if there is no connection to migrate over."""

_WITHOUT_EFFECT: Final = frozenset({b"accept", b"accept-profile", b"connection", b"x-client-info"})
"""Headers that change nothing for a call over HTTP/1.1; together they take a tenth of the time of a short call."""

_CLOSED: Final = Rule(UNKNOWN.kind, "This transport is closed: the call was not made.")
_OUT_OF_DATE: Final = Rule(SchemaOutOfDate, f"The database is not migrated for this release ({{message}}): {MIGRATE}.")
_NOT_FROM_SUPABASE: Final = Rule(
    UNKNOWN.kind,
    "The response comes from a proxy and not from Supabase ({code}, {message}). The call may be repeated.",
    TRIES,
)


class SupabaseTransport:
    """Calls the queue's functions through PostgREST.

    A call whose reply was lost, or that the gateway rejected, is repeated: every function is idempotent.

    Args:
        project: Address and key of the project.
        timeout: Timeouts of one attempt.
        first_pause_seconds: Pause before the first retry; each further pause is three times as long.
    """

    def __init__(
        self, project: Project, *, timeout: httpx.Timeout = _TIMEOUT, first_pause_seconds: float = _FIRST_PAUSE_SECONDS
    ) -> None:
        self._first_pause_seconds = first_pause_seconds
        self._http = project.http_client(timeout)
        options = SyncClientOptions(httpx_client=self._http, auto_refresh_token=False, persist_session=False)
        rest = create_client(project.url, project.key, options).postgrest
        self._address = str(rest.base_url.joinpath("rpc"))
        headers = {**rest.session.headers, **rest.headers, "Content-Type": "application/json"}
        composed = httpx.Request("GET", self._address, headers=headers).headers.raw  # with the host
        self._headers = [(name, value) for name, value in composed if name.lower() not in _WITHOUT_EFFECT]
        self._timeout = {"timeout": timeout.as_dict()}
        self._addresses: dict[str, tuple[httpcore.URL, httpcore.ConnectionPool]] = {}

    def call(self, function: str, arguments: Mapping[str, object]) -> Json:
        """Call one function; see `Transport.call`."""
        document = encoded(arguments, for_http=True).encode()
        return with_retries(
            lambda seconds: self._once(function, document, seconds),
            tries=_TRIES,
            first_pause_seconds=self._first_pause_seconds,
            seconds=_CALL_SECONDS,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _once(self, function: str, document: bytes, seconds: float) -> Json:
        if self._http.is_closed:
            raise Failed(_CLOSED, "closed", "")
        try:
            with exchange_limit(min(seconds, _TRY_SECONDS)):
                response = self._sent(function, document)
        except httpx.HTTPError as error:
            raise logged(Failed(rule_of_exception(error), type(error).__name__, reason_of(error))) from error
        except Exception as error:
            raise logged(Failed(UNKNOWN, type(error).__name__, reason_of(error))) from error
        if isinstance(response, bytes):
            return _decoded(response, "application/json")
        if response.is_success:
            return _document(response)
        raise _failure(response)

    def _sent(self, function: str, document: bytes) -> httpx.Response | bytes:
        """Send a request as the client would; return the body of a plain JSON response, or else the response."""
        address, pool = self._addresses.get(function) or self._address_of(function)
        headers = [*self._headers, (b"Content-Length", b"%d" % len(document))]
        request = httpcore.Request(b"POST", address, headers=headers, content=document, extensions=self._timeout)
        with map_httpcore_exceptions(), closing(pool.handle_request(request)) as response:
            body = response.read()
        if response.status == 200 and _is_plain_json(response.headers):
            return body
        return httpx.Response(response.status, headers=response.headers, content=body)

    def _address_of(self, function: str) -> tuple[httpcore.URL, httpcore.ConnectionPool]:
        url = httpx.URL(f"{self._address}/{function}")
        address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        # That of a proxy if there is one.
        transport = cast("httpx.HTTPTransport", self._http._transport_for_url(url))  # noqa: SLF001
        self._addresses[function] = address, transport._pool  # noqa: SLF001
        return self._addresses[function]


def _document(response: httpx.Response) -> Json:
    """Return the document of a response, unless it comes from a proxy before PostgREST."""
    kind = response.headers.get("content-type", "")
    if response.status_code == 200 and kind.startswith("application/json"):
        return _decoded(response.content, kind)
    raise Failed(_NOT_FROM_SUPABASE, f"HTTP {response.status_code}", kind or "empty")


def _decoded(body: bytes, kind: str) -> Json:
    try:
        return decode(body)
    except ValueError:
        raise Failed(_NOT_FROM_SUPABASE, "HTTP 200", kind) from None


def _is_plain_json(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a response has JSON without an encoding such as gzip."""
    kind = b""
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-encoding":
            return False
        if lower == b"content-type":
            kind = value
    return kind.startswith(b"application/json")


def _failure(response: httpx.Response) -> Failed:
    """Return the failure for an error response: by PostgREST's code, else by the HTTP status."""
    status = f"HTTP {response.status_code}"
    code, message, detail = _postgrest_error(response)
    if not code or code == str(response.status_code):
        return logged(Failed(rule_of(status), status, _gateway_message(response), None, _retry_after(response)))
    rule = rule_of("HTTP 401" if response.status_code == 401 or code == "42501" else code)
    if rule.kind is SchemaOutOfDate:
        rule = _OUT_OF_DATE
    return logged(Failed(rule, code, message, detail))


def _postgrest_error(response: httpx.Response) -> tuple[str, str, str | None]:
    """Return code, message and detail of PostgREST's error; an empty code if the response is of something else."""
    try:
        error = decode(response.content)
    except ValueError:
        return "", "", None
    if not isinstance(error, dict):
        return "", "", None
    code, message, detail = (error.get(name) for name in ("code", "message", "details"))
    if not isinstance(code, str) or not isinstance(message, str | None) or not isinstance(detail, str | None):
        return "", "", None
    return code, message or "", detail


def _gateway_message(response: httpx.Response) -> str:
    """Return the message for the rule: the target of a redirect, else an empty string."""
    if 300 <= response.status_code < 400:
        return str(response.headers.get("location", "another address")).partition("?")[0]
    return ""


def _retry_after(response: httpx.Response) -> float:
    return retry_after_seconds(response.headers, max_seconds=_MAX_WAIT_SECONDS) or 0.0
