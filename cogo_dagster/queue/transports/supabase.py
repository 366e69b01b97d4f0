"""The transport over a Supabase project's REST address: supabase-py's RPC with the service key."""

from collections.abc import Mapping
from threading import local
from typing import Any, Final

import httpx
from postgrest.exceptions import APIError
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

from cogo_dagster.queue.decoding import decode
from cogo_dagster.queue.errors import TRIES, UNKNOWN, Rule, SchemaOutOfDate, rule_of, rule_of_exception
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.retry_after import retry_after_seconds
from cogo_dagster.queue.supabase.bounded import exchange_limit
from cogo_dagster.queue.supabase.project import Project, reason_of
from cogo_dagster.queue.transports.tries import Failed, encoded, logged, repeated

_TRIES: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 15.0

_TIMEOUT: Final = httpx.Timeout(connect=5, read=20, write=20, pool=10)
"""A call ends within 8 s at the database, after up to 10 s in PostgREST's own queue for a connection."""

_TRY_SECONDS: Final = 25.0
_CALL_SECONDS: Final = 60.0

MIGRATE: Final = (
    "run the script that `cogo db sql` prints in the SQL Editor, or `cogo db migrate` with COGO_DATABASE_URL"
)
"""What mends a schema that is not this release's, where there is no connection to migrate over."""

_CLOSED: Final = Rule(UNKNOWN.kind, "This transport is closed: the call was not made.")
_OUT_OF_DATE: Final = Rule(SchemaOutOfDate, f"The database is not migrated for this release ({{message}}): {MIGRATE}.")
_ANOTHER_ANSWERED: Final = Rule(
    UNKNOWN.kind,
    "Something before Supabase answered in its place ({code}, {message}). The call may be repeated.",
    TRIES,
)


class SupabaseTransport:
    """Calls the engine through PostgREST.

    A call whose reply was lost, or that the gateway turned away, is repeated: every function stands a repeat.

    Args:
        project: Where, and with which key.
        timeout: Of each wait in one try.
        first_pause_seconds: Wait before the first repeat; each further wait is three times as long.
    """

    def __init__(
        self, project: Project, *, timeout: httpx.Timeout = _TIMEOUT, first_pause_seconds: float = _FIRST_PAUSE_SECONDS
    ) -> None:
        self._first_pause_seconds = first_pause_seconds
        # supabase-py's errors do not say the HTTP status: each thread keeps its last response.
        self._seen = local()
        self._http = project.http_client(timeout, event_hooks={"response": [self._see]})
        self._client: Client = create_client(
            project.url,
            project.key,
            SyncClientOptions(httpx_client=self._http, auto_refresh_token=False, persist_session=False),
        )
        self._rest = self._client.postgrest  # made here, since two threads would make two

    def call(self, function: str, arguments: Mapping[str, object]) -> Json:
        """Call one function; see `Transport.call`."""
        # As strict as over a connection: supabase-py would quietly make text of bytes and dates.
        encoded(arguments, for_http=True)
        return repeated(
            lambda seconds: self._once(function, arguments, seconds),
            tries=_TRIES,
            first_pause_seconds=self._first_pause_seconds,
            seconds=_CALL_SECONDS,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _see(self, response: httpx.Response) -> None:
        self._seen.response = response

    def _once(self, function: str, arguments: Mapping[str, object], seconds: float) -> Json:
        if self._http.is_closed:
            raise Failed(_CLOSED, "closed", "")
        self._seen.response = None
        try:
            with exchange_limit(min(seconds, _TRY_SECONDS)):
                answer = self._rest.rpc(function, dict[str, Any](arguments)).execute()
        except APIError as error:
            raise _refusal(error, self._seen.response) from error
        except httpx.HTTPError as error:
            raise logged(Failed(rule_of_exception(error), type(error).__name__, reason_of(error))) from error
        except Exception as error:
            if isinstance(error, ValueError | RecursionError) and self._seen.response is not None:
                return _document("", self._seen.response)  # it has numbers or levels that supabase-py cannot read
            raise logged(Failed(UNKNOWN, type(error).__name__, reason_of(error))) from error
        return _document(answer.data, self._seen.response)


def _document(data: Any, response: httpx.Response) -> Json:
    """Return the answer's document, unless something between us and PostgREST has answered in its place."""
    kind = response.headers.get("content-type", "")
    if response.status_code == 200 and kind.startswith("application/json"):
        if not isinstance(data, str):
            return data
        try:
            return decode(response.content)  # what supabase-py cannot read it passes on as text
        except ValueError:
            pass
    raise Failed(_ANOTHER_ANSWERED, f"HTTP {response.status_code}", kind or "empty")


def _refusal(error: APIError, response: httpx.Response) -> Failed:
    """Return what an error answer means: by PostgREST's code, and where there is none by the HTTP status."""
    status = f"HTTP {response.status_code}"
    code = str(error.code or "")
    message = str(error.message or "")
    if not code or code == str(response.status_code):
        return logged(Failed(rule_of(status), status, _gateway_said(response), None, _asked_to_wait(response)))
    rule = rule_of("HTTP 401" if response.status_code == 401 or code == "42501" else code)
    if rule.kind is SchemaOutOfDate:
        rule = _OUT_OF_DATE
    detail = error.details if isinstance(error.details, str) else None
    return logged(Failed(rule, code, message, detail))


def _gateway_said(response: httpx.Response) -> str:
    """Return what its sentence needs: where a redirect leads, and otherwise nothing."""
    if 300 <= response.status_code < 400:
        return str(response.headers.get("location", "another address")).partition("?")[0]
    return ""


def _asked_to_wait(response: httpx.Response) -> float:
    return retry_after_seconds(response.headers, most_seconds=_LONGEST_WAIT_SECONDS) or 0.0
